"""The report: one page that opens without a network."""

from gradmix_stage import stage

with stage(snakemake) as log:
    from gradmix.manifest import files_in
    from gradmix.results.experiment import read_experiment
    from gradmix.results.facts import configuration_text
    from gradmix.results.report import write_report

    configuration = snakemake.params.configuration
    experiment = read_experiment(
        files_in(snakemake.input.metrics),
        files_in(snakemake.input.runs),
        snakemake.params.methods,
        conditions=snakemake.params.conditions,
        split_files=files_in(snakemake.input.splits),
        enlarged_files=files_in(snakemake.input.enlarged),
        domain_files=snakemake.input.domains,
        paper=configuration["paper_numbers"],
        has_clips=snakemake.params.has_clips,
    )
    write_report(
        snakemake.output[0],
        experiment,
        title=configuration["title"],
        configuration=configuration_text(configuration),
        ensemble_files=files_in(snakemake.input.ensembles),
        summary_files=files_in(snakemake.input.summaries, "summary.json"),
        quality_files=files_in(snakemake.input.quality),
        figures=snakemake.params.figures,
        ablations=snakemake.params.ablations,
        ablation_metric_files=files_in(snakemake.input.ablations),
    )
