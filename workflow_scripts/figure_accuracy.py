"""Figure: accuracy of every method by the number of labels."""

from gradmix_stage import stage, stem

with stage(snakemake) as log:
    from gradmix.results.figures.accuracy import write

    write(snakemake.input, snakemake.params.methods, stem(snakemake), paper=snakemake.params.paper)
