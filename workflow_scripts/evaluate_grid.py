"""Every member of the grid on the test images, to read."""

from pathlib import Path

from gradmix_stage import device, folder, stage

with stage(snakemake) as log:
    from gradmix.manifest import write_manifest
    from gradmix.training.grid_analysis import evaluate_members

    files = snakemake.params.files
    evaluate_members(
        members={name: Path(run) for name, run in files["members"].items()},
        target=folder(snakemake.input.target),
        test=folder(snakemake.input.test),
        split=Path(files["split"]),
        output=Path(files["output"]),
        device=device(snakemake, log),
        threads=snakemake.threads,
        log=log,
    )
    write_manifest(snakemake.output[0], [files["output"]])
