"""What is trained from which files: a run, the files and numbers of its draw, and what its result depends on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gradmix.domains.format import Domain, open_domain
from gradmix.files import read_columns, read_json, sha256_of
from gradmix.seeds import derive_seed
from gradmix.split_files import read_split
from gradmix.splits import labels_for_training
from gradmix.training.data import RunInputs
from gradmix.training.images import Located
from gradmix.training.settings import Pace, RunSettings

_FILES = ("split", "enlarged", "predictions", "initial", "weights")


@dataclass(frozen=True)
class Job:
    """The files and numbers that all runs of one draw share.

    Attributes:
        domains: folders of the sources and the target by name.
        split: V, H, U and test of this draw.
        enlarged: enlarged V and S_u, for methods that need pseudo-labels.
        predictions: the ensemble's predictions, for soft labels.
        initial: checkpoint to start from, for fine-tuning.
        weights: pretrained weights of the backbone, for networks that take them.
        labels_per_class: k; 0 for methods that see no target label.
        draw: number of the draw.
        seed: the experiment's seed.
        code: fingerprint of the code.
        store: folder of checkpoints and finished records.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads.
        pace: how often checkpoints are written.
        ranks: processes that train a network together.
        models_at_once: networks that one process trains in the same calls.
    """

    domains: Mapping[str, Path]
    split: Path
    labels_per_class: int
    draw: int
    seed: int
    code: str
    store: Path
    enlarged: Path | None = None
    predictions: Path | None = None
    initial: Path | None = None
    weights: Path | None = None
    device: str = "auto"
    threads: int = 1
    pace: Pace = field(default_factory=Pace)
    ranks: int = 1
    models_at_once: int = 1


@dataclass(frozen=True)
class Run:
    """A method's settings, the files, and the folder of the record: model.safetensors, curves.parquet, run.json."""

    settings: RunSettings
    job: Job
    output: Path

    @property
    def name(self) -> str:
        """For messages."""
        member = "" if self.settings.member is None else f", member {self.settings.member}"
        job = self.job
        return f"method {self.settings.name}, k = {job.labels_per_class}, draw {job.draw}{member}"

    @property
    def seeds(self) -> dict[str, int]:
        """Methods of one draw share initial weights and batches, so that their differences are the methods'."""
        job, member = self.job, self.settings.member or ""
        return {name: derive_seed(job.seed, name, job.draw, member) for name in ("init", "batches")}

    def tried_in(self, folder: Path) -> "list[Run]":
        """A run for each of its candidates, with records in that folder."""
        return [
            Run(replace(settings, title=self.settings.title), self.job, folder / name)
            for name, settings in self.settings.candidates.items()
        ]

    def identity(self, hashes: Mapping[str, str], device: torch.device) -> dict[str, Any]:
        """All that the result depends on; not its title, nor how often it is kept.

        Nor which models are trained in the same calls, which changes the rounding of sums, as another processor of
        the same kind does: what was begun or finished in a pack is found again alone, and the reverse.
        """
        return {
            "settings": replace(self.settings, title=None).to_json(),
            "inputs": dict(hashes),
            "code": self.job.code,
            "seeds": self.seeds,
            "torch": torch.__version__,
            "device": device.type,
            "threads": self.job.threads,
            **if_several("ranks", self.job.ranks),
        }

    def to_json(self) -> dict[str, Any]:
        """As JSON, for another process."""
        job = asdict(self.job) | {"domains": {n: str(f) for n, f in self.job.domains.items()}}
        for name in (*_FILES, "store"):
            job[name] = None if job[name] is None else str(job[name])
        return {"settings": self.settings.to_json(), "job": job, "output": str(self.output)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Run":
        """Make the run that `to_json` described."""
        job = dict(values["job"])
        for name in (*_FILES, "store"):
            job[name] = None if job[name] is None else Path(job[name])
        domains = {name: Path(folder) for name, folder in job["domains"].items()}
        job |= {"domains": domains, "pace": Pace(**job["pace"])}
        return cls(RunSettings.from_json(values["settings"]), Job(**job), Path(values["output"]))


class Files:
    """The files of several runs, each hashed and opened once.

    Args:
        shared: whether the images of a domain lie on the device once, for all sets and draws.
    """

    def __init__(self, *, shared: bool) -> None:
        self._hashes: dict[int, dict[str, str]] = {}
        self._inputs: dict[tuple[int, tuple[str, ...], str], RunInputs] = {}
        self._located: Located | None = {} if shared else None

    def hashes(self, job: Job) -> dict[str, str]:
        """Hash of every file that the job reads, by what it is."""
        if id(job) not in self._hashes:
            files = {f"domain {name}": Path(f) / "domain.json" for name, f in job.domains.items()}
            files |= {name: path for name in _FILES if (path := getattr(job, name)) is not None}
            self._hashes[id(job)] = {name: sha256_of(path) for name, path in files.items()}
        return self._hashes[id(job)]

    def inputs(self, run: Run) -> RunInputs:
        """The files of a run (see `open_inputs`)."""
        key = (id(run.job), run.settings.sources, run.settings.target)
        if key not in self._inputs:
            self._inputs[key] = open_inputs(run, self._located)
        return self._inputs[key]


def open_inputs(run: Run, located: Located | None = None) -> RunInputs:
    """Open the files of a run.

    Args:
        run: which run.
        located: images that lie on the device, for sets that other draws' runs use as well.

    Raises:
        ValueError: if files are damaged or do not fit each other.
    """
    job = run.job
    opened = {name: open_domain(folder) for name, folder in job.domains.items()}
    sources = {name: opened[name] for name in run.settings.sources}
    target = opened[run.settings.target]
    split = read_split(job.split, target, sources=sources)
    enlarged = read_json(job.enlarged) if job.enlarged else None
    soft = _soft_labels(job.predictions, target) if job.predictions else None
    labels = labels_for_training(split, target)
    return RunInputs(sources, target, labels, split, enlarged, soft, located=located)


def if_several(what: str, count: int) -> dict[str, int]:
    """The number of ranks, or of models trained in the same calls, where there are several; nothing else."""
    return {what: count} if count > 1 else {}


def _soft_labels(predictions: Path, target: Domain) -> dict[int, np.ndarray]:
    names = [f"soft_{index}" for index in range(len(target.classes))]
    columns = read_columns(predictions, ["row", *names])
    soft_NC = np.stack([columns[name] for name in names], axis=1).astype(np.float32)
    return dict(zip(columns["row"].tolist(), soft_NC, strict=True))
