"""Every member of the grid on the test images, to read."""

from pathlib import Path

from gradmix_stage import device, folder, folders, stage

with stage(snakemake) as log:
    from gradmix.training.grid_analysis import evaluate_members

    evaluate_members(
        members=folders(snakemake.input.models),
        target=folder(snakemake.input.target),
        test=folder(snakemake.input.test),
        split=Path(snakemake.input.split),
        output=Path(snakemake.output[0]),
        device=device(snakemake, log),
        threads=snakemake.threads,
        log=log,
    )
