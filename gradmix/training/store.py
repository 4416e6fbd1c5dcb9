"""Where interrupted runs resume from and finished ones are found again, outside the workflow's declared outputs.

Snakemake deletes declared outputs before it reruns a job, and does not know which part of a pack was done. Each run
therefore has a folder here, named by a hash of its settings, inputs, seeds and code: a checkpoint can never be loaded
into anything but the run that it belongs to. One process at a time owns a folder (`gradmix.training.lock`).
"""

import copy
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gradmix.files import atomic_path, sha256_of_tensors, write_json
from gradmix.manifest import fault, write_manifest
from gradmix.training.lock import WAIT_SECONDS, RunLock, run_lock

CHECKPOINT = "checkpoint.safetensors"
DONE = "done.json"
RECORD = ("model.safetensors", "curves.parquet", "run.json")


class RunStore:
    """The folder of one run.

    Args:
        root: the experiment's store.
        identity: all that the result depends on, as JSON values.
        writes: whether `save` and `finish` do anything; of several ranks the first writes for all.
        log: gets a line where something here is damaged.
    """

    def __init__(
        self,
        root: Path,
        identity: Mapping[str, Any],
        *,
        writes: bool = True,
        log: Callable[[str], None] = print,
    ) -> None:
        text = json.dumps(identity, sort_keys=True)
        self.key = hashlib.sha256(text.encode()).hexdigest()[:32]
        self.folder = root / self.key
        self._identity = dict(identity)
        self._checkpoint = CHECKPOINT
        self._writes = writes
        self._log = log
        self._lock: RunLock | None = None

    def part(self, name: str) -> "RunStore":
        """The same run's store with a checkpoint of its own, for a training of several parts."""
        other = copy.copy(self)
        other._checkpoint = f"{name}.{CHECKPOINT}"
        return other

    @contextmanager
    def held(self, log: Callable[[str], None], wait: float = WAIT_SECONDS) -> Iterator[None]:
        """Be the only process that works on this run.

        Args:
            log: gets a line where it has to wait.
            wait: seconds to wait for another process to leave.

        Raises:
            RunInUseError: if another process works on it, or has taken it over when something is to be written.
        """
        with run_lock(self.folder, log, wait) as lock:
            self._lock = lock
            try:
                yield
            finally:
                self._lock = None

    def check_owner(self) -> None:
        """To be called before anything is written, here or among the outputs.

        Raises:
            RunInUseError: if the run is `held`, and another process has taken it over.
        """
        if self._lock is not None:
            self._lock.check()

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write a checkpoint; the previous one stays until this one is whole.

        Raises:
            RunInUseError: if another process has taken the run over; the previous checkpoint stays.
        """
        if not self._writes:
            return
        self.check_owner()
        if not (self.folder / "identity.json").exists():
            write_json(self.folder / "identity.json", self._identity)
        contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        metadata = {
            "key": self.key,
            "identity": json.dumps(self._identity),
            "state": json.dumps(state),
        }
        metadata["sha256"] = _sha256(contiguous, metadata)
        with atomic_path(self.folder / self._checkpoint) as temporary:
            save_file(contiguous, temporary, metadata=metadata)
            self.check_owner()

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The last checkpoint; ``None`` where there is none, or a damaged one, of which nothing can be used.

        Raises:
            ValueError: if the file was put there from another run; the message says in what they differ.
        """
        path = self.folder / self._checkpoint
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if metadata["sha256"] != _sha256(tensors, metadata):
                raise ValueError("SHA-256 differs")
            if metadata["key"] == self.key:
                return tensors, json.loads(metadata["state"])
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            # What comes out is the same, only later; an error would have a person delete a file first.
            self._log(f"{path}: damaged ({error}); the training begins anew")
            return None
        raise ValueError(
            f"{path}: belongs to another run ({self._difference(metadata)}); delete it"
        )

    def _difference(self, metadata: Mapping[str, str]) -> str:
        there = dict(_leaves(json.loads(metadata["identity"])))
        here = dict(_leaves(self._identity))
        named = [
            f"{name}: {there.get(name, 'none')} there, {here.get(name, 'none')} here"
            for name in dict.fromkeys([*there, *here])
            if there.get(name) != here.get(name)
        ]
        return "; ".join(named)

    def restore(self, output: Path) -> bool:
        """Put the finished record into ``output`` if there is a whole one; the run need not be repeated then."""
        manifest = self.folder / DONE
        if not manifest.exists():
            return False
        if why := fault(manifest, content=True):
            self._log(f"{why}: the record that was kept is not used")
            return False
        for name in RECORD:
            _copy(self.folder / "done" / name, output / name)
        return True

    def finish(self, output: Path) -> None:
        """Keep a copy of the finished record and drop the checkpoints.

        Raises:
            RunInUseError: if another process has taken the run over.
        """
        if not self._writes:
            return
        self.check_owner()
        kept = [self.folder / "done" / name for name in RECORD]
        for file in kept:
            _copy(output / file.name, file)
        write_manifest(self.folder / DONE, kept)
        for path in self.folder.glob(f"*{CHECKPOINT}"):
            path.unlink(missing_ok=True)


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every value of nested mappings by its dotted name, as JSON."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, json.dumps(value)


def _sha256(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Of all that a checkpoint holds."""
    return sha256_of_tensors(
        tensors, "".join(metadata[key] for key in ("key", "identity", "state"))
    )


def _copy(source: Path, destination: Path) -> None:
    with atomic_path(destination) as temporary:
        shutil.copyfile(source, temporary)
