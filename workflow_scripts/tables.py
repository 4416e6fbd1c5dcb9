"""All tables, as CSV, Markdown and LaTeX."""

from gradmix_stage import folder, records, stage

with stage(snakemake) as log:
    from gradmix.manifest import files_in
    from gradmix.results.tables import write_tables

    experiment = records(snakemake, snakemake.params.paper)
    write_tables(experiment, folder(snakemake.output), curve_files=files_in(snakemake.input.curves))
