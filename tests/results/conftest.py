"""A small invented experiment on disk, in the format that runs leave behind."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gradmix.domains.format import write_domain

METHODS = [
    {"name": "target_only", "title": "Target only", "recipe": "target_only"},
    {"name": "source_only", "title": "Source only (sum)", "recipe": "source_only"},
    {"name": "fine_tune", "title": "Fine-tune", "recipe": "fine_tune"},
    {"name": "gradmix_fixed_rate", "title": "GradMix, fixed rate", "recipe": "gradmix_fixed_rate"},
    {"name": "gradmix", "title": "GradMix", "recipe": "gradmix"},
    {"name": "gradmix_soft", "title": "GradMix, soft labels", "recipe": "gradmix_soft"},
    {"name": "gradmix_hard", "title": "GradMix, hard labels", "recipe": "gradmix_hard"},
]
CLASSES = ["5", "6", "7", "8", "9"]
LAYERS = ["conv1", "conv2", "conv3", "conv4", "fc1"]
MEANS = dict(
    zip([m["name"] for m in METHODS], [0.72, 0.80, 0.88, 0.89, 0.90, 0.94, 0.96], strict=True)
)


def write_json(path: Path, record: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


@dataclass
class Experiment:
    """The folder of an experiment and the records in it, by kind."""

    folder: Path
    files: dict[str, list[Path]] = field(default_factory=dict)

    def add(self, kind: str, path: Path) -> Path:
        self.files.setdefault(kind, []).append(path)
        return path

    def metrics(self, method: str, k: int, draw: int, accuracy: float, **changes) -> Path:
        right = round(accuracy * 40)
        record = {
            "method": method,
            "title": method,
            "labels_per_class": k,
            "draw": draw,
            "test_count": 200,
            "accuracy": accuracy,
            "accuracy_statistics_on_V": accuracy - 0.01,
            "hyper_validation_accuracy": accuracy,
            "chosen_step": 900,
            "classes": CLASSES,
            "confusion": [
                [right if i == j else (40 - right if (j - i) % 5 == 1 else 0) for j in range(5)]
                for i in range(5)
            ],
            "notes": [],
        }
        path = self.folder / f"runs/{k}/{draw}/{method}/metrics.json"
        return self.add("metrics", write_json(path, record | changes))

    def run(
        self, method: str, k: int, draw: int, *, sources: list[str] | None = None, **changes
    ) -> Path:
        title = next((m["title"] for m in METHODS if m["name"] == method), method)
        sources = sources or []
        folder = self.folder / f"runs/{k}/{draw}/{method}"
        record = {
            "method": method,
            "recipe": method,
            "title": title,
            "labels_per_class": k,
            "draw": draw,
            "member": None,
            "versions": {"gradmix": "0.1.0", "torch": "2.15.0", "python": "3.12"},
            "hardware": {"device": "cpu", "name": "invented processor", "threads": 1},
            "steps": 1000,
            "seconds": 61.5,
            "step_milliseconds_median": 55.0 + draw,
            "chosen_step": 900,
            "hyper_validation_accuracy": 0.9,
            "hyper_validation_loss": 0.3,
            "chosen_in_last_tenth": False,
            "layers": LAYERS if sources else [],
            "sources": sources,
            "sets": {"V": 5 * k, "H": 200},
            "notes": [],
        }
        write_json(folder / "run.json", record | changes)
        curves(method, draw, sources).to_parquet(folder / "curves.parquet", index=False)
        return self.add("runs", folder / "run.json")


def curves(method: str, draw: int, sources: list[str]) -> pd.DataFrame:
    """Training curves with the columns of a real run; they look plausible and mean nothing."""
    random = np.random.default_rng([draw, *method.encode()])
    steps = np.arange(0, 1001, 100 if method != "target_only" else 50)
    level = 1 - MEANS.get(method, 0.9)
    loss = (
        1.6 * np.exp(-steps / 120) + 3 * level + 0.04 * random.standard_normal(len(steps)) * level
    )
    frame = {
        "step": steps,
        "hyper_validation_loss": np.abs(loss),
        "hyper_validation_accuracy": MEANS.get(method, 0.9) - 0.7 * np.exp(-steps / 100),
        "loss/V": np.exp(-steps / 100),
    }
    if sources:
        rho = 2.5 * np.exp(-steps / 400) + 0.2 * random.standard_normal(len(steps))
        frame |= {"rho": rho, "rho_low": rho - 0.8, "rho_high": rho + 0.8}
        for name, shift in (("eta", 0), ("eta_low", -0.8), ("eta_high", 0.8)):
            frame[name] = 1 / (1 + np.exp(-(10 * (rho + shift) - 0.6)))
        for layer in LAYERS:
            weights = random.dirichlet([8] * len(sources), len(steps))
            for position, source in enumerate(sources):
                frame[f"weight/{layer}/{source}"] = weights[:, position]
            frame[f"cosine/{layer}"] = rho / 5
    table = pd.DataFrame(frame)
    table.loc[0, [c for c in table.columns if c not in ("step", *list(frame)[1:3])]] = np.nan
    return table


def write_images(folder: Path, name: str, space: str, classes: list[str], channels: int) -> Path:
    """A domain of 12 images a class: a bar whose place tells the class, on noise."""
    random = np.random.default_rng(len(name))
    labels = np.repeat(np.arange(len(classes)), 12)
    images = random.integers(0, 90, (len(labels), 16, 16, channels), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2:14, 2 + 2 * label : 5 + 2 * label] = 230
    index = pd.DataFrame({"label": labels, "class_name": [classes[i] for i in labels]})
    index[["group", "clip", "original"]] = ""
    info = {
        "name": name,
        "origin": "invented",
        "label_space": space,
        "classes": classes,
        "notes": [],
    }
    write_domain(folder / name, images, index, info)
    return folder / name / "domain.json"


def write_experiment(folder: Path, *, ks=(3, 5), draws=(0, 1, 2)) -> Experiment:
    """Everything that an experiment leaves: domains, splits, grid choice, pseudo-labels, runs."""
    experiment = Experiment(folder)
    low, high = ["0", "1", "2", "3", "4"], CLASSES
    for name, space, classes, channels in (
        ("rendered_5_9", "digits_5_9", high, 3),
        ("digits_low", "digits_0_4", low, 1),
        ("digits_high", "digits_5_9", high, 1),
    ):
        path = write_images(folder / "domains", name, space, classes, channels)
        experiment.add("domains", path)
    for k in ks:
        for draw in draws:
            _write_draw(experiment, k, draw)
    for draw in draws:
        experiment.run("source_only", 0, draw)
    return experiment


def _write_draw(experiment: Experiment, k: int, draw: int) -> None:
    rows = np.arange(60).reshape(5, 12)
    few, held = rows[:, : min(k, 4)].ravel(), rows[:, 4:6].ravel()
    unlabelled, test = rows[:, 6:9].ravel(), rows[:, 9:].ravel()
    split = {
        "labels_per_class": k,
        "draw": draw,
        "seed": 0,
        "target": "digits_high",
        "test_domain": "digits_high",
        "label_space": "digits_5_9",
        "classes": CLASSES,
        "V": few.tolist(),
        "H": held.tolist(),
        "U": unlabelled.tolist(),
        "left_out": [],
        "test": test.tolist(),
        "source_left_out": {"rendered_5_9": [], "digits_low": list(range(draw))},
    }
    experiment.add("splits", write_json(experiment.folder / f"splits/{k}/{draw}.json", split))
    enlarged = {
        "V": [*few.tolist(), 6, 18],
        "S_u_hard": [7, 8],
        "S_u_soft": unlabelled.tolist()[2:],
    }
    path = experiment.folder / f"splits/{k}/{draw}.enlarged.json"
    experiment.add("enlarged", write_json(path, enlarged))
    ensemble = {
        "members": ["beta10-gamma0.6", "beta5-gamma0"],
        "scores": {"beta10-gamma0.6": 0.91, "beta5-gamma0": 0.9, "beta5-gamma0.6": 0.85},
        "R": 2,
    }
    path = experiment.folder / f"ensemble/{k}/{draw}.json"
    experiment.add("ensembles", write_json(path, ensemble))

    folder = experiment.folder / f"pseudo_labels/{k}/{draw}"
    quality = {
        "classes": CLASSES,
        "accepted_per_class": [3, 2, 2, 1, 0],
        "correct_per_class": [2, 2, 2, 1, 0],
        "truth_per_class": [3, 3, 3, 3, 3],
        "accepted_by_truth": [2, 3, 2, 1, 0],
        "soft_accuracy": 0.8,
    }
    experiment.add("quality", write_json(folder / "quality.json", quality))
    summary = {"threshold": 0.8, "R": 2, "members": [], "unlabelled": 15, "accepted": 8}
    experiment.add("summaries", write_json(folder / "summary.json", summary))
    hard = np.array([0, 0, 1, 1, 0, 1, 2, 2, -1, 3, -1, -1, -1, -1, -1])
    soft = np.full((15, 5), 0.05)
    soft[np.arange(15), np.where(hard >= 0, hard, 4)] = 0.8
    predictions = pd.DataFrame({"row": unlabelled, "label": hard, "confidence": np.float32(0.9)})
    for position in range(5):
        predictions[f"soft_{position}"] = soft[:, position].astype("float32")
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    experiment.add("predictions", folder / "predictions.parquet")

    for position, (method, mean) in enumerate(MEANS.items()):
        accuracy = mean + 0.01 * (draw - 1) * (1 + position % 2) + 0.005 * (k - 3)
        experiment.metrics(method, k, draw, round(accuracy, 4))
        if method == "source_only":
            continue
        mixes = method.startswith("gradmix")
        sources = ["rendered_5_9", "digits_low"] if mixes else None
        labels_u = ["S_u"] if method in ("gradmix_soft", "gradmix_hard") else []
        note = "no pseudo-label accepted: trained without S_u"
        experiment.run(
            method,
            k,
            draw,
            sources=[*sources, *labels_u] if sources else None,
            notes=[note] if (method, k, draw) == ("gradmix_hard", 3, 1) else [],
            chosen_in_last_tenth=(method, draw) == ("fine_tune", 2),
        )


@pytest.fixture
def empty_experiment(tmp_path) -> Experiment:
    return Experiment(tmp_path)


@pytest.fixture(scope="session")
def experiment(tmp_path_factory) -> Experiment:
    return write_experiment(tmp_path_factory.mktemp("experiment"))


@pytest.fixture
def methods() -> list[dict[str, str]]:
    return [dict(method) for method in METHODS]
