"""Which device a run uses, and how it is kept reproducible there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


@contextmanager
def device_for_run(setting: str, threads: int) -> Iterator[torch.device]:
    """The device of one run: ``"cpu"``, ``"cuda"`` (the first in sight) or ``"auto"`` (a GPU where there is one).

    Raises:
        ValueError: if ``"cuda"`` is asked for where torch sees no GPU.
    """
    torch.set_num_threads(threads)
    if setting == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: cuda, but torch sees no GPU here; use device: auto or cpu")
    if setting == "cpu" or not torch.cuda.is_available():
        yield torch.device("cpu")
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield torch.device("cuda", 0)


def hardware(device: torch.device, threads: int) -> dict[str, str | int]:
    """What the run ran on, for its record."""
    if device.type == "cuda":
        return {"device": "cuda", "name": torch.cuda.get_device_name(device), "threads": threads}
    return {"device": "cpu", "name": _processor(), "threads": threads}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"
