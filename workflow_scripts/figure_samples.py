"""Figure: images of every set with their labels or pseudo-labels."""

from gradmix_stage import folder, stage, stem

with stage(snakemake) as log:
    from gradmix.results.figures.samples import write

    predictions = snakemake.input.predictions
    write(
        folder(snakemake.input.domains[:1]).parent,
        snakemake.input.split,
        predictions[0] if predictions else None,
        stem(snakemake),
        seed=snakemake.params.seed,
    )
