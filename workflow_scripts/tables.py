"""All tables, as CSV, Markdown and LaTeX."""

from gradmix_stage import folder, stage

with stage(snakemake) as log:
    from gradmix.manifest import files_in
    from gradmix.results.experiment import read_experiment
    from gradmix.results.tables import write_tables

    experiment = read_experiment(
        files_in(snakemake.input.metrics),
        files_in(snakemake.input.runs),
        snakemake.params.methods,
        conditions=snakemake.params.conditions,
        split_files=files_in(snakemake.input.splits),
        enlarged_files=files_in(snakemake.input.enlarged),
        domain_files=snakemake.input.domains,
        paper=snakemake.params.paper,
        has_clips=snakemake.params.has_clips,
    )
    write_tables(experiment, folder(snakemake.output), curve_files=files_in(snakemake.input.curves))
