"""Training jobs from Snakemake's object, and the manifest of what they made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradmix_stage import Log, device, experiment, folders, labels_per_class


def training_jobs(snakemake: Any, log: Log) -> list[tuple[Any, Path]]:
    """The files and numbers of every draw in the pack, and its run's folder; a GPU is taken for all."""
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
    names = ("split", "enlarged", "predictions", "initial")
    return [
        (
            Job(
                **shared,
                draw=draw["draw"],
                **{name: Path(draw[name]) for name in names if name in draw},
            ),
            Path(draw["run"]),
        )
        for draw in snakemake.params.draws
    ]


def train_to_manifest(runs: Sequence[Any], manifest: str, log: Log) -> None:
    """Train runs, and write what stands for all of their files."""
    from gradmix.manifest import write_manifest
    from gradmix.training.launch import train_runs
    from gradmix.training.store import RECORD

    train_runs(runs, log)
    write_manifest(manifest, [run.output / name for run in runs for name in RECORD])
