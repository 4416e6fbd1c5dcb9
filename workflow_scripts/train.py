"""One method, trained for one k and every draw of a pack."""

from pathlib import Path

from gradmix_stage import experiment, stage
from training_job import record_files, training_jobs

with stage(snakemake) as log:
    from gradmix.manifest import write_manifest
    from gradmix.training.launch import train_draws

    settings = dict(snakemake.params.settings)
    settings["title"] = experiment(snakemake).title_of(settings["name"])
    folders = [Path(draw["run"]) for draw in snakemake.params.draws]
    train_draws(settings, training_jobs(snakemake, log), folders, log)
    write_manifest(snakemake.output[0], record_files(folders))
