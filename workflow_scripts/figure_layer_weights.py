"""Figure: weights of the sources, layer by layer, over training, of one method at one k."""

from gradmix_stage import labels_per_class, stage, stem

with stage(snakemake) as log:
    from gradmix.results.figures.layer_weights import write

    write(
        snakemake.input,
        stem(snakemake),
        method=snakemake.wildcards.method,
        labels_per_class=labels_per_class(snakemake),
    )
