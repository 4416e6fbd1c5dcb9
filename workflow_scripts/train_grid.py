"""A pack of the grid's members, trained for one k and one or several draws.

A member's beta and gamma are in its folder's name.
"""

from dataclasses import replace

from gradmix_stage import by_member, draw_of, folders_of_draws, stage
from training_job import training_jobs

with stage(snakemake) as log:
    from gradmix.config import grid_member
    from gradmix.training.job import Run
    from gradmix.training.launch import train_runs
    from gradmix.training.settings import RunSettings

    folders = folders_of_draws(snakemake.output)
    draws = list(dict.fromkeys(draw_of(snakemake, folder.parent) for folder in folders))
    jobs = training_jobs(snakemake, draws, log)
    grid = RunSettings.from_json(snakemake.params.settings)
    for job, outputs in zip(jobs, by_member(folders, len(draws)), strict=True):
        runs = [
            Run(
                replace(grid_member(grid, folder.name), title=f"GradMix, {folder.name}"),
                job,
                folder,
            )
            for folder in outputs
        ]
        train_runs(runs, log)
