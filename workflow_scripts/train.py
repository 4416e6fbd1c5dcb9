"""One method, trained for one k and every draw of a pack."""

from dataclasses import replace

from gradmix_stage import experiment, stage
from training_job import train_to_manifest, training_jobs

with stage(snakemake) as log:
    from gradmix.training.job import Run
    from gradmix.training.settings import RunSettings

    settings = RunSettings.from_json(snakemake.params.settings)
    settings = replace(settings, title=experiment(snakemake).title_of(settings.name))
    runs = [Run(settings, job, folder) for job, folder in training_jobs(snakemake, log)]
    train_to_manifest(runs, snakemake.output[0], log)
