"""What the runs of one draw share: files, seeds, and where and how they are trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gradmix.domains.format import Domain, open_domain
from gradmix.files import read_columns, read_json, sha256_of
from gradmix.seeds import derive_seed
from gradmix.splits import check_split, labels_for_training
from gradmix.training.checkpoints import Pace
from gradmix.training.data import RunInputs
from gradmix.training.images import Located


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
        models_at_once: networks of a pack that one process trains together.
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


def seeds_of(settings: Mapping[str, Any], job: Job) -> dict[str, int]:
    """Methods of one draw share initial weights and batches, so that their differences are the methods'."""
    member = settings.get("member") or ""
    return {
        "init": derive_seed(job.seed, "init", job.draw, member),
        "batches": derive_seed(job.seed, "batches", job.draw, member),
    }


def input_hashes(job: Job) -> dict[str, str]:
    """Hash of every file that the job reads, by what it is."""
    files = {f"domain {name}": Path(folder) / "domain.json" for name, folder in job.domains.items()}
    files |= {
        name: path
        for name in ("split", "enlarged", "predictions", "initial", "weights")
        if (path := getattr(job, name)) is not None
    }
    return {name: sha256_of(path) for name, path in files.items()}


def open_inputs(settings: Mapping[str, Any], job: Job, located: Located | None = None) -> RunInputs:
    """The opened files of a run with these settings; ``located`` are images that other draws' runs use as well.

    Raises:
        ValueError: if files are damaged or do not fit each other.
    """
    opened = {name: open_domain(folder) for name, folder in job.domains.items()}
    sources = {name: opened[name] for name in settings["sources"]}
    target = opened[settings["target"]]
    split = read_json(job.split)
    check_split(split, target, sources=sources)
    enlarged = read_json(job.enlarged) if job.enlarged else None
    soft = _soft_labels(job.predictions, target) if job.predictions else None
    labels = labels_for_training(split, target)
    return RunInputs(sources, target, labels, split, enlarged, soft, located=located)


def _soft_labels(predictions: Path, target: Domain) -> dict[int, np.ndarray]:
    names = [f"soft_{index}" for index in range(len(target.classes))]
    columns = read_columns(predictions, ["row", *names])
    soft_NC = np.stack([columns[name] for name in names], axis=1).astype(np.float32)
    return dict(zip(columns["row"].tolist(), soft_NC, strict=True))
