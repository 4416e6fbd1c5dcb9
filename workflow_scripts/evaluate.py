"""A run's chosen checkpoint on the test images: the one place where they are read."""

from pathlib import Path

from gradmix_stage import device, folder, labels_per_class, stage

with stage(snakemake) as log:
    from gradmix.training.predict import evaluate_run

    evaluate_run(
        run=folder(snakemake.input.run),
        target=folder(snakemake.input.target),
        test=folder(snakemake.input.test),
        split=Path(snakemake.input.split),
        labels_per_class=labels_per_class(snakemake),
        output=Path(snakemake.output[0]),
        device=device(snakemake, log),
        threads=snakemake.threads,
        log=log,
    )
