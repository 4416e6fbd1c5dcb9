"""A run's record on disk: the chosen network, its curves, and a description in JSON."""

import math
import platform
from collections.abc import Mapping
from importlib.metadata import version
from statistics import median
from typing import Any

import numpy as np
import torch

from gradmix import __version__
from gradmix.files import sha256_of, write_columns, write_json
from gradmix.training.device import hardware
from gradmix.training.model_file import write_model
from gradmix.training.prepare import Prepared, logged_layers, source_names
from gradmix.training.state import Outcome
from gradmix.training.store import RECORD


def record_of(
    ready: Prepared, outcome: Outcome, hashes: Mapping[str, str], execution: Mapping[str, int]
) -> dict[str, Any]:
    """The content of run.json.

    Args:
        ready: what was trained.
        outcome: of the training.
        hashes: of the files that it read.
        execution: ranks, where there were several, and models trained in the same calls, where there were several.
    """
    job, settings, state = ready.run.job, ready.run.settings, ready.state
    steps = int(outcome.rows[-1]["step"])  # with the fine-tuning of H2, where there is one
    classes = len(ready.inputs.target.classes)
    return {
        "method": settings.name,
        "recipe": settings.recipe,
        "title": settings.title or settings.name,
        "labels_per_class": job.labels_per_class,
        "draw": job.draw,
        "member": settings.member,
        "settings": settings.to_json(),
        "seeds": ready.run.seeds,
        "inputs": dict(hashes),
        "code": job.code,
        "versions": versions(),
        "hardware": hardware(state.device, job.threads),
        **execution,
        "steps": steps,
        "seconds": round(outcome.seconds, 3),
        "step_milliseconds_median": round(median(outcome.interval_milliseconds or [0.0]), 3),
        "chosen_step": outcome.step,
        "hyper_validation_accuracy": outcome.accuracy,
        "hyper_validation_loss": outcome.loss,
        "chosen_in_last_tenth": outcome.step > 0.9 * steps,
        "layers": logged_layers(state.mixer),
        "sources": source_names(state.streams),
        "label_spaces": dict(ready.label_spaces),
        "domains": list(ready.domains),
        "sets": {**{s.name: len(s.set) for s in state.streams}, "H": len(state.validation)},
        "notes": [*ready.notes, *untrained(outcome, len(state.validation), classes)],
    }


def untrained(outcome: Outcome, images: int, classes: int) -> list[str]:
    """A note where step 0 was chosen, and it is at chance on H: not two binomial standard errors above 1/C.

    Args:
        outcome: of the training.
        images: of H.
        classes: C.
    """
    chance = 1 / classes
    above = outcome.accuracy - chance
    if outcome.step > 0 or above > 2 * math.sqrt(chance * (1 - chance) / images):
        return []
    return [
        f"untrained: no step did better on H than the network it began with, which is at chance "
        f"({100 * outcome.accuracy:.1f} % of {images} images of {classes} classes)"
    ]


def write_record(ready: Prepared, outcome: Outcome, record: Mapping[str, Any]) -> None:
    """Write a run's three files: model.safetensors, curves.parquet and, last, run.json, with the others' SHA-256.

    Raises:
        ValueError: if the network holds NaN or infinity.
    """
    model, curves, description = (ready.run.output / name for name in RECORD)
    write_model(model, outcome.state)
    names = dict.fromkeys(name for row in outcome.rows for name in row)
    # Before the first step there is no loss, and where V fine-tunes no weight.
    columns = {name: [row.get(name, math.nan) for row in outcome.rows] for name in names}
    write_columns(curves, columns)
    files = {path.name: sha256_of(path) for path in (model, curves)}
    write_json(description, {**record, "files": files})


def versions() -> dict[str, str]:
    """Versions of what a result may depend on."""
    return {
        "gradmix": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pandas": version("pandas"),
    }
