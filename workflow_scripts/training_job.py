"""The files and numbers of a training job, from Snakemake's object."""

from pathlib import Path
from typing import Any

from gradmix_stage import Log, device, experiment, folders, labels_per_class


def training_job(snakemake: Any, log: Log) -> Any:
    """What `gradmix.training.run` asks for besides a method's settings; the job's GPU is taken."""
    from gradmix.training.checkpoints import Pace
    from gradmix.training.run import Job

    config = experiment(snakemake)
    optional = {
        name: Path(snakemake.input.get(name))
        for name in ("enlarged", "predictions", "initial", "weights")
        if snakemake.input.get(name)
    }
    return Job(
        domains=folders(snakemake.input.domains),
        split=Path(snakemake.input.split),
        labels_per_class=labels_per_class(snakemake),
        draw=int(snakemake.wildcards.draw),
        seed=snakemake.params.seed,
        code=snakemake.params.code,
        store=Path(config.output_dir, ".store"),
        device=device(snakemake, log),
        threads=snakemake.threads,
        pace=Pace(config.resources.checkpoint_seconds, config.resources.checkpoint_steps),
        ranks=max(1, int(snakemake.resources.get("gpu", 0))),
        **optional,
    )
