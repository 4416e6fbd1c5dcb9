"""GPUs of one machine, shared out among jobs by file locks.

Snakemake counts GPUs and hands out no numbers, so jobs that it starts side by side would all use the first. Each takes
a slot instead: a lock on a file per GPU, or per fraction of one where small runs share it. The lock goes with the
process, however that ends.
"""

import os
import re
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_LOOK_AGAIN = 0.5  # seconds


def installed_gpus() -> list[str]:
    """GPUs (or their MIG parts) that a new process could use, as ``CUDA_VISIBLE_DEVICES`` names them.

    That variable's own list where it is set; else what ``nvidia-smi -L`` says. CUDA is not touched: it reads the
    variable once, when it is first used.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        # CUDA itself ends the list at the first -1.
        return names[: names.index("-1")] if "-1" in names else [name for name in names if name]
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return gpus_in(done.stdout) if done.returncode == 0 else []


def gpus_in(listing: str) -> list[str]:
    """UUIDs in the output of ``nvidia-smi -L``: of each GPU, or of its MIG parts where it is split."""
    gpus: list[list[str]] = []
    for line in listing.splitlines():
        uuid = re.search(r"UUID: ([\w-]+)\)", line)
        if uuid and line.startswith("GPU"):
            gpus.append([uuid[1]])
        elif uuid and gpus:
            gpus[-1].append(uuid[1])
    return [name for parts in gpus for name in (parts[1:] or parts)]


@contextmanager
def gpu_slot(
    gpus: Sequence[str],
    slots_per_gpu: int = 1,
    *,
    whole: int = 0,
    folder: Path | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Iterator[list[str]]:
    """Hold one slot of a GPU, or some whole GPUs; wait until there is one.

    Slots are given GPU by GPU before any is shared. Locks are advisory and hold among all users of the machine who
    train with this package.

    Args:
        gpus: names, as in ``CUDA_VISIBLE_DEVICES``.
        slots_per_gpu: jobs that may share a GPU.
        whole: so many GPUs with all their slots, for training on several; 0 for one slot.
        folder: of the lock files; the machine's folder for temporary files if not given.
        log: gets a line when there is something to wait for.

    Yields:
        The GPUs' names.

    Raises:
        ValueError: if there are fewer GPUs than asked for, or the folder or a file in it is none that can be used.
    """
    if len(gpus) < max(whole, 1):
        raise ValueError(f"{max(whole, 1)} GPUs are asked for, but there are {len(gpus)} here")
    folder = folder or Path(tempfile.gettempdir()) / "gradmix-gpus"
    _make_shared(folder)
    waiting = False
    while True:
        with ExitStack() as held:
            taken = _take(held, gpus, slots_per_gpu, whole, folder)
            if taken:
                yield taken
                return
        if not waiting:
            log(f"waiting for a GPU: all slots are taken ({len(gpus)} GPUs, {slots_per_gpu} each)")
            waiting = True
        time.sleep(_LOOK_AGAIN)


def _take(
    held: ExitStack, gpus: Sequence[str], slots_per_gpu: int, whole: int, folder: Path
) -> list[str]:
    """Names of the GPUs whose locks now lie in ``held``; none if there were not enough."""
    # One job at a time looks for slots: two that want several GPUs would hold half of them each.
    with ExitStack() as looking:
        if not _lock(looking, folder / "looking.lock", wait=True):
            return []
        if not whole:
            for slot in range(slots_per_gpu):
                for gpu in gpus:
                    if _lock(held, _file(folder, gpu, slot)):
                        return [gpu]
            return []
        taken: list[str] = []
        for gpu in gpus:
            with ExitStack() as all_slots:
                if all(_lock(all_slots, _file(folder, gpu, s)) for s in range(slots_per_gpu)):
                    held.push(all_slots.pop_all())
                    taken.append(gpu)
            if len(taken) == whole:
                return taken
        held.close()
        return []


def _file(folder: Path, gpu: str, slot: int) -> Path:
    return folder / f"{re.sub('[^A-Za-z0-9-]', '_', gpu)}.slot{slot}.lock"


def _lock(held: ExitStack, path: Path, *, wait: bool = False) -> bool:
    # For every user of the machine. A symlink of that name is not followed, and a file that exists keeps its mode.
    lock = FileLock(path, mode=0o666)
    try:
        held.enter_context(lock.acquire(timeout=-1 if wait else 0))
    except Timeout:
        return False
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be used as the lock of a GPU ({error.strerror}); delete it"
        ) from error
    return True


def _make_shared(folder: Path) -> None:
    """A folder in which every user of the machine can make lock files, and open those of others."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        # Somebody may have put a link to a folder of ours there.
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise ValueError(
                f"{folder}: must be a folder, for the locks of GPUs, but is a link or a file; delete it"
            ) from None
        return
    folder.chmod(0o1777)
