"""A pack of the grid's members, trained for one k and one or several draws.

A member's beta and gamma are in its folder's name.
"""

from gradmix_stage import by_member, draw_of, folders_of_draws, stage
from training_job import training_jobs

with stage(snakemake) as log:
    from gradmix.config import grid_member
    from gradmix.training.launch import train_pack

    folders = folders_of_draws(snakemake.output)
    draws = list(dict.fromkeys(draw_of(snakemake, folder.parent) for folder in folders))
    jobs = training_jobs(snakemake, draws, log)
    for job, outputs in zip(jobs, by_member(folders, len(draws)), strict=True):
        settings = [
            grid_member(dict(snakemake.params.settings), folder.name)
            | {"title": f"GradMix, {folder.name}"}
            for folder in outputs
        ]
        train_pack(settings, outputs, job, log)
