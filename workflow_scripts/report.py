"""The report: one page that opens without a network."""

from gradmix_stage import stage

with stage(snakemake) as log:
    from gradmix.manifest import files_in
    from gradmix.results.configuration import configuration_text
    from gradmix.results.report import write_report

    configuration = snakemake.params.configuration
    write_report(
        snakemake.output[0],
        title=configuration["title"],
        configuration=configuration_text(configuration),
        methods=snakemake.params.methods,
        metric_files=files_in(snakemake.input.metrics),
        run_files=files_in(snakemake.input.runs),
        split_files=files_in(snakemake.input.splits),
        domain_files=snakemake.input.domains,
        enlarged_files=files_in(snakemake.input.enlarged),
        ensemble_files=files_in(snakemake.input.ensembles),
        summary_files=files_in(snakemake.input.summaries, "summary.json"),
        quality_files=files_in(snakemake.input.quality),
        conditions=snakemake.params.conditions,
        figures=snakemake.params.figures,
        ablations=snakemake.params.ablations,
        ablation_metric_files=files_in(snakemake.input.ablations),
        paper=configuration["paper_numbers"],
        has_clips=snakemake.params.has_clips,
    )
