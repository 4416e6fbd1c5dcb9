"""Where interrupted runs resume from and finished ones are found again, outside the workflow's declared outputs.

Snakemake deletes declared outputs before it reruns a job, and does not know which part of a pack was done. Each run
therefore has a folder here, named by a hash of its settings, inputs, seeds and code: a checkpoint can never be loaded
into anything but the run that it belongs to.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from gradmix.files import atomic_path, write_json

CHECKPOINT = "checkpoint.safetensors"
RECORD = ("model.safetensors", "curves.parquet", "run.json")


class RunStore:
    """The folder of one run.

    Args:
        root: the experiment's store.
        identity: all that the result depends on, as JSON values.
    """

    def __init__(self, root: Path, identity: Mapping[str, Any]) -> None:
        text = json.dumps(identity, sort_keys=True)
        self.key = hashlib.sha256(text.encode()).hexdigest()[:32]
        self.folder = root / self.key
        self._identity = dict(identity)

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Write a checkpoint; the previous one stays until this one is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "identity.json").exists():
            write_json(self.folder / "identity.json", self._identity)
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        metadata = {"key": self.key, "state": json.dumps(state)}
        with atomic_path(self.folder / CHECKPOINT) as temporary:
            save_file(contiguous, temporary, metadata=metadata)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The last checkpoint, or ``None``.

        Raises:
            ValueError: if the file is corrupt or was put there from another run.
        """
        path = self.folder / CHECKPOINT
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path}: not a readable checkpoint ({error}); delete it") from error
        if metadata.get("key") != self.key:
            raise ValueError(
                f"{path}: belongs to another run (key {metadata.get('key')}, expected {self.key}); delete it"
            )
        return tensors, json.loads(metadata["state"])

    def restore(self, output: Path) -> bool:
        """Put the finished record into ``output`` if there is one; the run need not be repeated then."""
        done = self.folder / "done"
        if not all((done / name).exists() for name in RECORD):
            return False
        for name in RECORD:
            _link(done / name, output / name)
        return True

    def finish(self, output: Path) -> None:
        """Keep the finished record (as hard links, which cost no space) and drop the checkpoint."""
        for name in RECORD:
            _link(output / name, self.folder / "done" / name)
        (self.folder / CHECKPOINT).unlink(missing_ok=True)


def _link(source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(destination) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, temporary)
