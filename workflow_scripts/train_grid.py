"""A pack of the grid's members, trained for one k and every draw of a pack; beta and gamma are in their names."""

from pathlib import Path

from gradmix_stage import stage
from training_job import train_to_manifest, training_jobs

with stage(snakemake) as log:
    from gradmix.config import grid_member
    from gradmix.training.job import Run
    from gradmix.training.settings import RunSettings

    grid = RunSettings.from_json(snakemake.params.settings)
    members = {member: grid_member(grid, member) for member in snakemake.params.members}
    runs = [
        Run(settings, job, Path(str(folder).format(member=member)))
        for job, folder in training_jobs(snakemake, log)
        for member, settings in members.items()
    ]
    train_to_manifest(runs, snakemake.output[0], log)
