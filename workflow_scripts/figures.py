"""Figures, one or a pack of them."""

from gradmix_stage import stage

with stage(snakemake) as log:
    from gradmix.results.figures.writer import write_figures

    write_figures(snakemake.params.figures, snakemake.input, snakemake.output.manifest, log)
