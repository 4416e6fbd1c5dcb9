"""All tables, as CSV, Markdown and LaTeX."""

from gradmix_stage import folder, stage

with stage(snakemake) as log:
    from gradmix.results.tables import write_tables

    write_tables(
        snakemake.input.metrics,
        snakemake.input.runs,
        snakemake.params.methods,
        folder(snakemake.output),
        conditions=snakemake.params.conditions,
        curve_files=snakemake.input.curves,
        paper=snakemake.params.paper,
        has_clips=snakemake.params.has_clips,
        split_files=snakemake.input.splits,
        enlarged_files=snakemake.input.enlarged,
        domain_files=snakemake.input.domains,
    )
