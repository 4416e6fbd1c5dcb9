"""Pretrained weights of a backbone: taken from data_dir or downloaded, checked, and written as safetensors.

Files are read as tensors and nothing else: a pickle that holds code is refused, not run.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradmix.domains.local import download, find_local, looked_for
from gradmix.files import atomic_path, sha256_of, sha256_of_tensors

if TYPE_CHECKING:
    from torch import Tensor

# torchvision's name; it ends with the first digits of the SHA-256.
IMAGENET = "resnet18-f37072fd.pth"
FOLDERS = ("weights", ".")
# Apart from the folders above: a download must not turn up as a new input of the workflow when it is run again.
DOWNLOADS = "downloads/weights"


def weight_files(setting: str, data_dir: str | Path) -> list[Path]:
    """List the file, put there by hand, that `write_weights` will read, for the workflow to watch.

    Args:
        setting: the configuration's ``network.weights``.
        data_dir: where it is looked for.
    """
    folders, name = (FOLDERS, IMAGENET) if setting == "imagenet" else (["."], setting)
    path = find_local(Path(data_dir), folders, [name])
    return [path] if path is not None else []


def write_weights(
    setting: str, data_dir: str | Path, output: Path, log: Callable[[str], None]
) -> None:
    """Check a ResNet-18's weights and write its backbone's as safetensors, in torchvision's names.

    Args:
        setting: ``"imagenet"``, or a .pth or .safetensors file relative to ``data_dir``.
        data_dir: where files are looked for; downloads go to ``downloads/weights`` in it.
        output: file that is written, whole or not at all.
        log: gets one line per event.

    Raises:
        ValueError: if the file is missing and cannot be downloaded, is damaged, holds more than tensors, or holds
            another network.
    """
    from safetensors.torch import save_file

    from gradmix.nets.resnet18 import backbone_state

    path = _imagenet(Path(data_dir)) if setting == "imagenet" else _own(setting, Path(data_dir))
    state = backbone_state(read_state(path), str(path))
    digest = sha256_of(path)
    with atomic_path(output) as temporary:
        contiguous = {name: tensor.contiguous() for name, tensor in state.items()}
        own = sha256_of_tensors(contiguous)
        metadata = {"source": path.name, "sha256": digest, "tensors_sha256": own}
        save_file(contiguous, temporary, metadata=metadata)
    count = sum(tensor.numel() for tensor in state.values())
    log(f"{path} (SHA-256 {digest}): {len(state)} tensors of {count:,} numbers")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read what `write_weights` wrote; before 0.2 it wrote no hash of the tensors, and then they are taken as they are.

    Raises:
        ValueError: if the file is damaged or was changed.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged ({error}); delete it and start again") from error
    digest = sha256_of_tensors(state)
    if metadata.get("tensors_sha256", digest) != digest:
        raise ValueError(f"{path}: damaged (SHA-256 differs); delete it and start again")
    return state


def read_state(path: Path) -> Mapping[str, Tensor]:
    """Read the tensors of a .safetensors file, or of a .pth file with a state dict.

    Raises:
        ValueError: if the file is damaged or holds anything but tensors by name.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path}: holds more than tensors, or is no file of torch.save; it was not read further "
            f"({_first_line(error)})"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ValueError(
            f"{path}: damaged, or no file of weights ({_first_line(error)})"
        ) from error
    if not isinstance(state, Mapping):
        raise ValueError(f"{path}: must hold tensors by name, but holds a {type(state).__name__}")
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(
                f"{path}: must hold tensors by name, but {name!r} is a {type(value).__name__}; "
                "save the model's state_dict() by itself"
            )
    return state


def _own(setting: str, data_dir: Path) -> Path:
    path = data_dir / setting
    if not path.is_file():
        raise ValueError(
            f"network.weights: {path} is no file (paths are relative to data_dir, {data_dir})"
        )
    return path


def _imagenet(data_dir: Path) -> Path:
    """Verify torchvision's file, which lies in data_dir or is downloaded now."""
    folders = (*FOLDERS, DOWNLOADS)
    path = find_local(data_dir, folders, [IMAGENET])
    if path is None:
        _download(data_dir)
        path = data_dir / DOWNLOADS / IMAGENET
    expected = Path(IMAGENET).stem.rpartition("-")[2]
    digest = sha256_of(path)
    if not digest.startswith(expected):
        raise ValueError(
            f"{path}: corrupt, truncated or not torchvision's file ({path.stat().st_size} bytes, SHA-256 {digest}, "
            f"expected to begin with {expected}); delete it, or get it again"
        )
    return path


def _download(data_dir: Path) -> None:
    """Lets torch fetch the file, with its checksum."""
    from gradmix.nets.resnet18 import WEIGHTS_URL

    places = looked_for(data_dir, (*FOLDERS, DOWNLOADS), [IMAGENET])

    def fetch(folder: str) -> None:
        import torch

        torch.hub.load_state_dict_from_url(
            WEIGHTS_URL, model_dir=folder, check_hash=True, weights_only=True, progress=False
        )

    download(
        data_dir / DOWNLOADS,
        fetch,
        {IMAGENET: IMAGENET},
        what="network.weights: imagenet: ResNet-18's weights are",
        by_hand=f"Three ways on: get {WEIGHTS_URL} and lay it into {data_dir / FOLDERS[0]}; or name a file of your "
        "own in data_dir (network.weights: FILE.pth or FILE.safetensors); or start from random weights "
        f"(network.weights: none). Now {places}.",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
