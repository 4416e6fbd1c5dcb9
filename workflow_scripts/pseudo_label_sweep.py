"""Hard labels of U by several numbers of models and thresholds, held against the truth."""

from pathlib import Path

from gradmix_stage import device, folder, stage

with stage(snakemake) as log:
    from gradmix.training.grid_analysis import sweep_labels

    sweep_labels(
        records={Path(file).parent.name: Path(file) for file in snakemake.input.records},
        target=folder(snakemake.input.target),
        split=Path(snakemake.input.split),
        models=snakemake.params.models,
        thresholds=snakemake.params.thresholds,
        output=Path(snakemake.output[0]),
        device=device(snakemake, log),
        threads=snakemake.threads,
        log=log,
    )
