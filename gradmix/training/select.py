"""What is better on H, and the R models of the grid that are best there and label the unlabelled images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradmix.files import read_json, write_json


def merit(accuracy: float, loss: float) -> tuple[float, float]:
    """How a network stands on H, of which the larger is better: accuracy; ties: the lower loss; then the first."""
    return accuracy, -loss


def rank(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names of runs, the best on H first."""

    def standing(name: str) -> tuple[float, float]:
        record = records[name]
        return merit(record["hyper_validation_accuracy"], record["hyper_validation_loss"])

    return sorted(records, key=standing, reverse=True)


def select_top(records: Mapping[str, Path], models: int, output: Path) -> dict[str, Any]:
    """Rank the grid's members on H and keep the first R.

    Args:
        records: member -> its run.json, in the order of the grid; the model lies beside it.
        models: R.
        output: the ensemble's JSON.

    Raises:
        ValueError: if there are fewer members than R.
    """
    if len(records) < models:
        raise ValueError(
            f"pseudo_labels.models is {models}, but the grid has {len(records)} members"
        )
    runs = {member: read_json(path) for member, path in records.items()}
    ranked = rank(runs)
    chosen = ranked[:models]
    ensemble = {
        "R": models,
        "members": chosen,
        "models": {m: (records[m].parent / "model.safetensors").as_posix() for m in chosen},
        "scores": {m: runs[m]["hyper_validation_accuracy"] for m in ranked},
        "hyper_validation_loss": {m: runs[m]["hyper_validation_loss"] for m in ranked},
    }
    write_json(output, ensemble)
    return ensemble
