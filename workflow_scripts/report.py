"""The report: one page that opens without a network."""

from gradmix_stage import experiment, records, stage

with stage(snakemake) as log:
    from gradmix.manifest import files_in
    from gradmix.results.facts import configuration_text
    from gradmix.results.report import write_report

    configuration, checked = snakemake.params.configuration, experiment(snakemake)
    write_report(
        snakemake.output[0],
        records(snakemake, configuration["paper_numbers"]),
        title=configuration["title"],
        configuration=configuration_text(configuration),
        ensemble_files=files_in(snakemake.input.ensembles),
        summary_files=files_in(snakemake.input.summaries, "summary.json"),
        quality_files=files_in(snakemake.input.quality),
        figures=snakemake.params.figures,
        ablations=snakemake.params.ablations,
        ablation_metric_files=files_in(snakemake.input.ablations),
        classes={name: checked.class_names(name) for name in checked.domains},
    )
