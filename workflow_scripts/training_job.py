"""The files and numbers of training jobs, from Snakemake's object."""

from pathlib import Path
from typing import Any

from gradmix_stage import Log, by_member, device, experiment, folders, labels_per_class


def training_jobs(snakemake: Any, draws: list[int], log: Log) -> list[Any]:
    """What `gradmix.training.job.Run` asks for besides a method's settings, for each draw; a GPU is taken for all."""
    from gradmix.training.job import Job
    from gradmix.training.settings import Pace

    config = experiment(snakemake)
    shared: dict[str, Any] = {
        "domains": folders(snakemake.input.domains),
        "labels_per_class": labels_per_class(snakemake),
        "seed": snakemake.params.seed,
        "code": snakemake.params.code,
        "store": Path(config.output_dir, ".store"),
        "device": device(snakemake, log),
        "threads": snakemake.threads,
        "pace": Pace(config.resources.checkpoint_seconds, config.resources.checkpoint_steps),
        "models_at_once": config.resources.models_at_once,
        "ranks": max(1, int(snakemake.resources.get("gpu", 0))),
    }
    if snakemake.input.get("weights"):
        shared["weights"] = Path(snakemake.input.weights)
    own = {
        name: by_member(snakemake.input.get(name), len(draws))
        for name in ("split", "enlarged", "predictions", "initial")
        if snakemake.input.get(name)
    }
    return [
        Job(**shared, draw=draw, **{name: Path(files[index][0]) for name, files in own.items()})
        for index, draw in enumerate(draws)
    ]
