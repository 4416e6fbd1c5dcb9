"""Chosen checkpoints of a pack of runs on the test images: the one place where they are read."""

from pathlib import Path

from gradmix_stage import device, folder, labels_per_class, stage

with stage(snakemake) as log:
    from gradmix.manifest import write_manifest
    from gradmix.training.predict import evaluate_run

    where = device(snakemake, log)
    for run in snakemake.params.runs:
        evaluate_run(
            run=Path(run["run"]),
            target=folder(snakemake.input.target),
            test=folder(snakemake.input.test),
            split=Path(run["split"]),
            labels_per_class=labels_per_class(snakemake),
            output=Path(run["metrics"]),
            device=where,
            threads=snakemake.threads,
            log=log,
        )
    write_manifest(snakemake.output[0], [run["metrics"] for run in snakemake.params.runs])
