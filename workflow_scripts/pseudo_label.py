"""Hard and soft labels of U by the ensemble."""

from pathlib import Path

from gradmix_stage import device, folder, stage

with stage(snakemake) as log:
    from gradmix.training.predict import pseudo_label

    pseudo_label(
        ensemble=Path(snakemake.input.ensemble),
        target=folder(snakemake.input.target),
        split=Path(snakemake.input.split),
        threshold=snakemake.params.threshold,
        output=folder(snakemake.output),
        device=device(snakemake, log),
        threads=snakemake.threads,
        log=log,
    )
