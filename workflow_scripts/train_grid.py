"""A pack of the grid's members, trained for one k and every draw of a pack; beta and gamma are in their names."""

from pathlib import Path

from gradmix_stage import stage
from training_job import record_files, training_jobs

with stage(snakemake) as log:
    from gradmix.config import grid_member
    from gradmix.manifest import write_manifest
    from gradmix.training.launch import train_pack

    members = snakemake.params.members
    settings = [
        grid_member(dict(snakemake.params.settings), member) | {"title": f"GradMix, {member}"}
        for member in members
    ]
    folders = [
        [Path(draw["run"].format(member=member)) for member in members]
        for draw in snakemake.params.draws
    ]
    for job, outputs in zip(training_jobs(snakemake, log), folders, strict=True):
        train_pack(settings, outputs, job, log)
    write_manifest(snakemake.output[0], record_files([path for paths in folders for path in paths]))
