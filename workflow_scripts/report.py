"""The report: one page that opens without a network."""

from gradmix_stage import stage

with stage(snakemake) as log:
    from gradmix.results.experiment import read_experiment
    from gradmix.results.facts import configuration_text
    from gradmix.results.report import write_report

    configuration = snakemake.params.configuration
    experiment = read_experiment(
        snakemake.input.metrics,
        snakemake.input.runs,
        snakemake.params.methods,
        conditions=snakemake.params.conditions,
        split_files=snakemake.input.splits,
        enlarged_files=snakemake.input.enlarged,
        domain_files=snakemake.input.domains,
        paper=configuration["paper_numbers"],
        has_clips=snakemake.params.has_clips,
    )
    write_report(
        snakemake.output[0],
        experiment,
        title=configuration["title"],
        configuration=configuration_text(configuration),
        ensemble_files=snakemake.input.ensembles,
        summary_files=snakemake.input.summaries,
        quality_files=snakemake.input.quality,
        figures=snakemake.params.figures,
        ablations=snakemake.params.ablations,
        ablation_metric_files=snakemake.input.ablations,
    )
