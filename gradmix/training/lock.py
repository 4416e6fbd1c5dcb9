"""One process a run: a lock on the run's folder, and a token where file systems have no locks."""

import errno
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gradmix.files import remove_unfinished

LOCK = "lock"
WAIT_SECONDS = 60.0  # a predecessor may be writing its last checkpoint
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class RunInUseError(ValueError):
    """Another process trains the same run; the message names it."""


class RunLock:
    """``<folder>/lock``, which says who owns the folder.

    The kernel drops the lock with its process, so a killed run leaves none behind. The file stays; its text, JSON
    with host, pid, SLURM job, time and a random token, is the present owner's. Where two processes can own a
    folder all the same (a network file system without locks), the earlier finds a token that is not its own.

    A workflow's controller owns its output folder in the same way.

    Args:
        folder: of the run; made if it is missing.
        log: gets a line when the lock is waited for or cannot be had.
        owned_by: for messages: what the owner is doing, up to its name.
    """

    def __init__(
        self,
        folder: Path,
        log: Callable[[str], None],
        owned_by: str = "this run is being trained by",
    ) -> None:
        self.path = folder / LOCK
        self._log = log
        self._owned_by = owned_by
        self._descriptor: int | None = None
        self._token = ""

    def take(self, wait: float = WAIT_SECONDS) -> None:
        """Become the owner, and clear away what a killed owner left half written.

        Args:
            wait: seconds to wait for another owner to leave.

        Raises:
            RunInUseError: if another process keeps the lock.
            OSError: if the file cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        end, told = time.monotonic() + wait, False
        while not self._try():
            if time.monotonic() >= end:
                raise RunInUseError(
                    f"{self.path.parent}: {self._owned_by} {self._owner()}; "
                    "end that process, or wait for it"
                )
            if not told:
                self._log(f"waiting up to {wait:g} s: the run is held by {self._owner()}")
                told = True
            time.sleep(min(0.1, wait))

    def release(self) -> None:
        """Let the next one in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def check(self) -> None:
        """To be called before every writing.

        Raises:
            RunInUseError: if another process has taken the folder over.
        """
        try:
            owner = self._read()
        except FileNotFoundError:
            # Somebody deleted the folder, which loses nothing else: the run goes on in a new one.
            self.release()
            self.take(wait=0)
            return
        if owner.get("token") != self._token:
            raise RunInUseError(
                f"{self.path.parent}: this run was taken over by {_said(owner)}; nothing was written"
            )

    def _try(self) -> bool:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        locked = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
            self._log(
                f"warning: the file system of {self.path.parent} has no locks ({error.strerror}); "
                "two runs that share the folder are noticed only when they write"
            )
            locked = False
        self._descriptor = descriptor
        self._token = secrets.token_hex(16)
        owner = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "slurm_job": os.environ.get("SLURM_JOB_ID"),
            "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
            "token": self._token,
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)
        if locked:
            for folder in (self.path.parent, self.path.parent / "done"):
                remove_unfinished(folder)
        return True

    def _read(self) -> dict[str, Any]:
        try:
            owner = json.loads(self.path.read_text(encoding="utf-8"))
        except ValueError:  # somebody is writing it
            return {}
        return owner if isinstance(owner, dict) else {}

    def _owner(self) -> str:
        return _said(self._read())


@contextmanager
def run_lock(
    folder: Path, log: Callable[[str], None], wait: float = WAIT_SECONDS
) -> Iterator[RunLock]:
    """Own a run's folder for the time of a block (see `RunLock.take`)."""
    lock = RunLock(folder, log)
    lock.take(wait)
    try:
        yield lock
    finally:
        lock.release()


def abandoned(folder: Path) -> bool:
    """Whether a folder has a lock that no living process holds; without file locks nobody knows, so no."""
    try:
        with open(folder / LOCK, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _said(owner: dict[str, Any]) -> str:
    if "pid" not in owner:
        return "another process"
    job = f" (SLURM job {owner['slurm_job']})" if owner.get("slurm_job") else ""
    return f"process {owner['pid']} on {owner.get('host')}{job} since {owner.get('since')}"
