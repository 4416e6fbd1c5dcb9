"""The files and numbers of training jobs, from Snakemake's object."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradmix_stage import Log, device, experiment, folders, labels_per_class


def training_jobs(snakemake: Any, log: Log) -> list[Any]:
    """What `gradmix.training.run` asks for besides a method's settings, for each draw; a GPU is taken for all."""
    from gradmix.training.checkpoints import Pace
    from gradmix.training.run import Job

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
    names = ("split", "enlarged", "predictions", "initial")
    return [
        Job(
            **shared,
            draw=draw["draw"],
            **{name: Path(draw[name]) for name in names if name in draw},
        )
        for draw in snakemake.params.draws
    ]


def record_files(folders: Sequence[Path]) -> list[Path]:
    """The files of finished runs."""
    from gradmix.training.store import RECORD

    return [folder / name for folder in folders for name in RECORD]
