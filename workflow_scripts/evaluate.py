"""Chosen checkpoints on the test images, of one run or several: the one place where they are read."""

from pathlib import Path

from gradmix_stage import by_member, device, folder, labels_per_class, stage

with stage(snakemake) as log:
    from gradmix.training.predict import evaluate_run

    count = len(snakemake.output)
    where = device(snakemake, log)
    files = zip(
        by_member(snakemake.input.run, count),
        by_member(snakemake.input.split, count),
        snakemake.output,
        strict=True,
    )
    for run, (split,), output in files:
        evaluate_run(
            run=folder(run),
            target=folder(snakemake.input.target),
            test=folder(snakemake.input.test),
            split=Path(split),
            labels_per_class=labels_per_class(snakemake),
            output=Path(output),
            device=where,
            threads=snakemake.threads,
            log=log,
        )
