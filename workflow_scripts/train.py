"""One method, trained for one k and draw."""

from gradmix_stage import experiment, folder, stage
from training_job import training_job

with stage(snakemake) as log:
    from gradmix.training.launch import train_method

    settings = dict(snakemake.params.settings)
    settings["title"] = experiment(snakemake).title_of(settings["name"])
    train_method(settings, training_job(snakemake, log), folder(snakemake.output), log)
