"""A run's model.safetensors, written and read so that no damaged network and no other run's passes for it."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gradmix.files import atomic_path, check_sha256, read_json


def write_model(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write a network's state.

    Raises:
        ValueError: if it holds NaN or infinity.
    """
    _check_finite(path, state)
    contiguous = {name: tensor.cpu().contiguous() for name, tensor in state.items()}
    with atomic_path(path) as temporary:
        save_file(contiguous, temporary)


def load_model(path: Path, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Read a network's state.

    The record beside it holds its SHA-256. One from before 0.2 does not, and its network is taken as it is.

    Raises:
        ValueError: if it is not the network that the record was written for, or holds NaN or infinity.
    """
    record = path.with_name("run.json")
    if record.exists() and "files" in (told := read_json(record)):
        check_sha256(path, told["files"].get(path.name), record.name)
    try:
        state = load_file(path, device=str(device))
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged, or no file of weights ({error})") from error
    _check_finite(path, state)
    return state


def _check_finite(path: Path, state: Mapping[str, Tensor]) -> None:
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{path}: this network is of no use, since {name} is NaN or infinite")
