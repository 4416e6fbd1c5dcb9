"""One method, trained for one k and one or several draws."""

from dataclasses import replace

from gradmix_stage import experiment, folders_of_draws, stage
from training_job import training_jobs

with stage(snakemake) as log:
    from gradmix.training.job import Run
    from gradmix.training.launch import train_runs
    from gradmix.training.settings import RunSettings

    settings = RunSettings.from_json(snakemake.params.settings)
    settings = replace(settings, title=experiment(snakemake).title_of(settings.name))
    outputs = folders_of_draws(snakemake.output)
    jobs = training_jobs(snakemake, [int(output.parent.name) for output in outputs], log)
    pairs = zip(jobs, outputs, strict=True)
    train_runs([Run(settings, job, output) for job, output in pairs], log)
