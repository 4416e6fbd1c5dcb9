"""The R models that label the unlabelled images: the best of the grid on H."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradmix.files import read_json, write_json


def rank(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Members from the best accuracy on H on; ties: lower loss, then their order."""
    return sorted(
        runs,
        key=lambda member: (
            -runs[member]["hyper_validation_accuracy"],
            runs[member]["hyper_validation_loss"],
        ),
    )


def select_top(records: Mapping[str, Path], models: int, output: Path) -> dict[str, Any]:
    """Rank the grid's members by accuracy on H (ties: lower loss, then the grid's order) and keep the first R.

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
