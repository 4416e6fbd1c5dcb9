"""All tables, as CSV, Markdown and LaTeX."""

from gradmix_stage import folder, stage

with stage(snakemake) as log:
    from gradmix.manifest import files_in
    from gradmix.results.tables import write_tables

    write_tables(
        files_in(snakemake.input.metrics),
        files_in(snakemake.input.runs),
        snakemake.params.methods,
        folder(snakemake.output),
        conditions=snakemake.params.conditions,
        curve_files=files_in(snakemake.input.curves),
        paper=snakemake.params.paper,
        has_clips=snakemake.params.has_clips,
        split_files=files_in(snakemake.input.splits),
        enlarged_files=files_in(snakemake.input.enlarged),
        domain_files=snakemake.input.domains,
    )
