"""Which device a run uses, and how it is kept reproducible there."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

# Under a scheduler that assigns GPUs its choice is left alone.
_SCHEDULER = "SLURM_JOB_ID"


@contextmanager
def device_for_run(setting: str, threads: int) -> Iterator[torch.device]:
    """The device of one run: ``"cpu"``, ``"cuda"`` or ``"auto"`` (a GPU where there is one).

    Snakemake counts GPUs but hands out no numbers, so on a machine with several of them runs take turns by file locks.

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
    if _SCHEDULER in os.environ or torch.cuda.device_count() == 1:
        yield torch.device("cuda", 0)
        return
    with slot(
        torch.cuda.device_count(), Path(tempfile.gettempdir()) / f"gradmix-{os.getuid()}"
    ) as index:
        torch.cuda.set_device(index)
        yield torch.device("cuda", index)


@contextmanager
def slot(count: int, folder: Path) -> Iterator[int]:
    """Hold one of ``count`` numbers; a free one if there is any, else one shared by process number."""
    folder.mkdir(exist_ok=True)
    for index in range(count):
        with open(folder / f"slot-{index}.lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield index
            return
    yield os.getpid() % count


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
