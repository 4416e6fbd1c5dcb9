"""A run's record on disk: the chosen network, its curves, and a description in JSON."""

import math
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from gradmix import __version__
from gradmix.files import atomic_path, write_columns, write_json
from gradmix.training.loop import Outcome


def write_record(output: Path, outcome: Outcome, record: Mapping[str, Any]) -> None:
    """Write a run's three files: model.safetensors, curves.parquet and, last, run.json."""
    output.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.cpu().contiguous() for name, tensor in outcome.state.items()}
    with atomic_path(output / "model.safetensors") as temporary:
        save_file(state, temporary)
    names = dict.fromkeys(name for row in outcome.rows for name in row)
    # Before the first step there is no loss, and where V fine-tunes no weight.
    columns = {name: [row.get(name, math.nan) for row in outcome.rows] for name in names}
    write_columns(output / "curves.parquet", columns)
    write_json(output / "run.json", record)


def versions() -> dict[str, str]:
    """Versions of what a result may depend on."""
    return {
        "gradmix": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pandas": version("pandas"),
    }
