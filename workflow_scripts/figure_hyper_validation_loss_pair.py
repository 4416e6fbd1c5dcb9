"""Figure: loss on H of source-only and GradMix at two numbers of labels."""

from gradmix_stage import stage, stem

with stage(snakemake) as log:
    from gradmix.results.figures.hyper_validation_loss_pair import write

    parameters = snakemake.params
    write(
        snakemake.input,
        parameters.methods,
        stem(snakemake),
        labels_per_class=parameters.labels_per_class,
    )
