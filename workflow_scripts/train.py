"""One method, trained for one k and one or several draws."""

from gradmix_stage import experiment, folders_of_draws, stage
from training_job import training_jobs

with stage(snakemake) as log:
    from gradmix.training.launch import train_draws

    settings = dict(snakemake.params.settings)
    settings["title"] = experiment(snakemake).title_of(settings["name"])
    outputs = folders_of_draws(snakemake.output)
    jobs = training_jobs(snakemake, [int(output.parent.name) for output in outputs], log)
    train_draws(settings, jobs, outputs, log)
