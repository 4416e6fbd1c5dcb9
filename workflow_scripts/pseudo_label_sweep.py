"""Hard labels of U by several numbers of models and thresholds, held against the truth."""

from pathlib import Path

from gradmix_stage import device, folder, stage

with stage(snakemake) as log:
    from gradmix.manifest import write_manifest
    from gradmix.training.grid_analysis import sweep_labels

    files = snakemake.params.files
    sweep_labels(
        records={name: Path(run, "run.json") for name, run in files["members"].items()},
        target=folder(snakemake.input.target),
        split=Path(files["split"]),
        models=snakemake.params.models,
        thresholds=snakemake.params.thresholds,
        output=Path(files["output"]),
        device=device(snakemake, log),
        threads=snakemake.threads,
        log=log,
    )
    write_manifest(snakemake.output[0], [files["output"]])
