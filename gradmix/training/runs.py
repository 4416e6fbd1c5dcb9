"""A run of a job: what it is called, what its result depends on, and its opened files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gradmix.training.data import RunInputs
from gradmix.training.images import Located
from gradmix.training.job import Job, input_hashes, open_inputs, seeds_of


@dataclass(frozen=True)
class Run:
    """A method's settings, the files, and the folder of the record (see `gradmix.training.run.train_method`)."""

    settings: Mapping[str, Any]
    job: Job
    output: Path

    @property
    def name(self) -> str:
        """For messages."""
        member = self.settings.get("member")
        return (
            f"method {self.settings['name']}, k = {self.job.labels_per_class}, draw {self.job.draw}"
            + (f", member {member}" if member else "")
        )


class Files:
    """The files of several runs, each hashed and opened once.

    Args:
        shared: whether the images of a domain lie on the device once, for all sets and draws.
    """

    def __init__(self, *, shared: bool) -> None:
        self._hashes: dict[int, dict[str, str]] = {}
        self._inputs: dict[tuple[int, tuple[str, ...]], RunInputs] = {}
        self._located: Located | None = {} if shared else None

    def hashes(self, job: Job) -> dict[str, str]:
        """Hash of every file that the job reads, by what it is."""
        if id(job) not in self._hashes:
            self._hashes[id(job)] = input_hashes(job)
        return self._hashes[id(job)]

    def inputs(self, run: Run) -> RunInputs:
        """The opened files.

        Raises:
            ValueError: if files are damaged or do not fit each other.
        """
        key = (id(run.job), tuple(run.settings["sources"]))
        if key not in self._inputs:
            self._inputs[key] = open_inputs(run.settings, run.job, self._located)
        return self._inputs[key]


def identity_of(run: Run, hashes: Mapping[str, str], device: torch.device) -> dict[str, Any]:
    """All that a run's result depends on; not its title, nor how often it is kept.

    Nor which models are trained together with it, which changes the rounding of sums, as another processor of the
    same kind does: what was begun or finished in a pack is found again alone, and the reverse.
    """
    return {
        "settings": {key: value for key, value in run.settings.items() if key != "title"},
        "inputs": hashes,
        "code": run.job.code,
        "seeds": seeds_of(run.settings, run.job),
        "torch": torch.__version__,
        "device": device.type,
        "threads": run.job.threads,
        **several("ranks", run.job.ranks),
    }


def several(what: str, count: int) -> dict[str, int]:
    """The number of ranks, or of models trained together, where there are several; nothing else."""
    return {what: count} if count > 1 else {}
