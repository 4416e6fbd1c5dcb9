"""Figure: confusion matrices, at one k."""

from gradmix_stage import labels_per_class, stage, stem

with stage(snakemake) as log:
    from gradmix.results.figures.confusion import write

    k = labels_per_class(snakemake)
    write(snakemake.input, snakemake.params.methods, stem(snakemake), labels_per_class=k)
