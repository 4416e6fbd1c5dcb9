"""A debug experiment on disk: three small domains of bright and dark patterns, a split, pseudo-labels.

Seconds to make, so that every method can be trained through the real files and functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gradmix.domains.format import open_domain, write_domain
from gradmix.files import write_json, write_parquet
from gradmix.methods.recipes import recipe_of
from gradmix.nets.registry import NETWORKS
from gradmix.pseudo_labels import enlarge, label_unlabelled
from gradmix.splits import make_split
from gradmix.training.job import Job, Run
from gradmix.training.run import train_runs
from gradmix.training.settings import RunSettings

SIZE = 8
SCALE = 4
TRAINING = {
    "steps": 6,
    "evaluate_every": 3,
    "batch_size": 8,
    "target_batch_size": 12,
    "unlabelled_batch_size": 10,
    "learning_rate": 0.05,
    "adam_learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "precision": "float32",
    "target_only_steps": 6,
    "target_only_evaluate_every": 3,
    "fine_tune_steps": 6,
    "fine_tune_evaluate_every": 3,
    "fine_tune_learning_rate": 0.005,
}
GRADMIX = {
    "beta": 10.0,
    "gamma": 0.6,
    "rho": "sum",
    "solver": "exact",
    "eta_on": "lr",
    "eta_on_heads": None,
    "last_layer": "H1",
    "layers": "module",
    "average": 0.0,
}


def needs_resnet(method: str) -> bool:
    """Whether the digit network lacks what the method asks of a network."""
    return not set(recipe_of(method).network) <= set(NETWORKS["convnet"].options)


def settings_of(
    method: str,
    *,
    resnet: bool = False,
    mixer: str | None = None,
    terms: Sequence[str] = (),
    **sections,
) -> RunSettings:
    """A method's settings, with changes to ``training``, ``gradmix`` or ``options``.

    ``resnet``: for ResNet-18, and for an experiment with ``scale=SCALE``. ``mixer``, ``terms``: put into the recipe.
    """
    recipe = recipe_of(method).combined(mixer, terms)
    network = {"name": "convnet", "width": 8, "hidden": 8, "norm_statistics": "shared"}
    size = SIZE
    if resnet:
        network, size = {"name": "resnet18", "norm_statistics": "shared"}, SIZE * SCALE
    options = recipe.default_options()
    for part, changes in sections.get("options", {}).items():
        options[part] = {**options[part], **changes}
    settings = {
        "name": method,
        "recipe": method,
        "title": recipe.title,
        "method": recipe.method().to_json(),
        "sources": ["near"] if "target_sources" in recipe.sees else ["near", "other"],
        "target": "target",
        "image": {"height": size, "width": size},
        "network": {**network, **recipe.network},
        "training": {**TRAINING, **sections.get("training", {})},
        "options": options,
    }
    if recipe.mixes_by_target:
        gradmix = {**GRADMIX, **recipe.gradmix, **sections.get("gradmix", {})}
        unused = recipe.unused_gradmix_keys
        settings["gradmix"] = {k: v for k, v in gradmix.items() if k not in unused}
    if tried := recipe.source_sets(settings["sources"]):
        settings["candidates"] = {
            name: {**settings, "sources": sources} for name, sources in tried.items()
        }
    return RunSettings.from_json(settings)


def train(settings: RunSettings, job: Job, output: Path, log=print) -> None:
    """Train one run."""
    train_runs([Run(settings, job, output)], log)


def patterns(count: int, classes: int, noise: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey images whose bright row tells the class."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = random.integers(0, noise, (count, SIZE, SIZE, 1))
    images[np.arange(count), labels * 2] += 180
    return images.astype(np.uint8), labels


def make_domain(
    folder: Path, name: str, images, labels, classes: list[str], label_space: str
) -> Path:
    """Write a domain and give its folder."""
    index = pd.DataFrame(
        {
            "label": labels,
            "class_name": [classes[label] for label in labels],
            "group": "",
            "clip": "",
            "original": [f"{name}-{row}" for row in range(len(labels))],
        }
    )
    info = {
        "name": name,
        "origin": "arrays",
        "label_space": label_space,
        "classes": classes,
        "sources": {name: name},
    }
    write_domain(folder / name, images, index, info)
    return folder / name


@dataclass
class Experiment:
    """Folders and files of the debug experiment."""

    root: Path
    domains: dict[str, Path]
    split: Path
    enlarged: Path
    predictions: Path

    def job(self, store: Path, **options: Any) -> Job:
        """Files and numbers of a run on the CPU; pseudo-labels, weights and the like are options."""
        return Job(
            domains=self.domains,
            split=self.split,
            labels_per_class=2,
            draw=0,
            seed=0,
            code="test",
            store=store,
            **{"device": "cpu", **options},
        )

    def job_of(self, method: str, store: Path, **options: Any) -> Job:
        """The same with the files that a method needs; the run that it starts from is trained first."""
        recipe = recipe_of(method)
        files = {
            "enlarged": self.enlarged if recipe.needs_pseudo_labels else None,
            "predictions": self.predictions if "S_u_soft" in recipe.sees else None,
        }
        if recipe.starts_from:
            start = self.root / "start" / recipe.starts_from
            if not start.exists():
                settings = settings_of(recipe.starts_from, resnet=needs_resnet(method))
                train(settings, self.job_of(recipe.starts_from, store), start)
            files["initial"] = start / "model.safetensors"
        return self.job(store, **files, **options)


def make_experiment(
    root: Path, *, labels_per_class: int = 2, confident: bool = True, scale: int = 1
) -> Experiment:
    """Domains, split and pseudo-labels below ``root``; not confident: no pseudo-label is accepted.

    ``scale``: pixels of an image for each of the pattern, in both directions.
    """

    def drawn(*numbers: int) -> tuple[np.ndarray, np.ndarray]:
        images, labels = patterns(*numbers)
        return images.repeat(scale, axis=1).repeat(scale, axis=2), labels

    near = make_domain(root, "near", *drawn(60, 3, 40, 1), ["a", "b", "c"], "letters")
    other = make_domain(root, "other", *drawn(40, 2, 40, 2), ["x", "y"], "signs")
    target = make_domain(root, "target", *drawn(120, 3, 60, 3), ["a", "b", "c"], "letters")
    folders = {"near": near, "other": other, "target": target}
    opened = {name: open_domain(folder) for name, folder in folders.items()}
    split = make_split(
        opened["target"],
        None,
        {name: opened[name] for name in ("near", "other")},
        labels_per_class=labels_per_class,
        draw=0,
        seed=0,
        hyper_validation_per_class=6,
        test_per_class=8,
    )
    write_json(root / "split.json", split)
    rows = np.array(split["U"])
    truth = opened["target"].labels[rows]
    probabilities = np.full((3, len(rows), 3), 0.05 if confident else 1 / 3)
    if confident:
        probabilities[:, np.arange(len(rows)), truth] = 0.9
    predictions = label_unlabelled(probabilities, rows, 0.8)
    write_parquet(root / "predictions.parquet", predictions)
    v_labels = opened["target"].labels[split["V"]].tolist()
    enlarged = enlarge(split, v_labels, predictions, to=6, seed=0)
    write_json(root / "enlarged.json", enlarged)
    return Experiment(
        root, folders, root / "split.json", root / "enlarged.json", root / "predictions.parquet"
    )
