"""Figure: ranks of the methods over draws."""

from gradmix_stage import stage, stem

with stage(snakemake) as log:
    from gradmix.results.figures.ranks import write

    write(snakemake.input, snakemake.params.methods, stem(snakemake))
