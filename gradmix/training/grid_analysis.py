"""A look at the whole grid that nothing trains or chooses by: every member on the test images, and its labels of U.

The paper's Table 2 and what R and the threshold do. Both need the truth, so both stand behind all choices.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gradmix.domains.format import open_domain
from gradmix.evaluation import evaluate
from gradmix.files import read_json, write_parquet
from gradmix.pseudo_labels import label_unlabelled
from gradmix.split_files import read_split
from gradmix.training.device import device_for_run
from gradmix.training.predict import load_network, predict_unlabelled
from gradmix.training.progress import Log
from gradmix.training.select import rank


def evaluate_members(
    *,
    members: Mapping[str, Path],
    target: Path,
    test: Path,
    split: Path,
    output: Path,
    device: str = "auto",
    threads: int = 1,
    log: Log,
) -> None:
    """Evaluate every member of the grid on the test images: for reading, never for choosing.

    Args:
        members: folder of each member's model and record, in the order of the grid.
        target: folder of the target domain.
        test: folder of the domain that the split's test rows belong to.
        split: this draw's split.
        output: Parquet file with a row per member: beta, gamma, draw, accuracies on H and on test, H's loss,
            and the step of the kept checkpoint.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads.
        log: gets one line per member.
    """
    images, opened = open_domain(test), open_domain(target)
    rows, domain = read_split(split, opened, images)["test"], opened.name
    evaluated = []
    with device_for_run(device, threads) as where:
        for member, folder in members.items():
            record = read_json(folder / "run.json")
            network = load_network(folder / "model.safetensors", where)
            tested = evaluate(
                network, images.images, images.labels, rows, images.label_space, domain, where,
                classes=len(images.classes),
            )  # fmt: skip
            gradmix = record["settings"]["gradmix"]
            evaluated.append(
                {
                    "member": member,
                    "beta": gradmix["beta"],
                    "gamma": gradmix["gamma"],
                    "labels_per_class": record["labels_per_class"],
                    "draw": record["draw"],
                    "hyper_validation_accuracy": record["hyper_validation_accuracy"],
                    "hyper_validation_loss": record["hyper_validation_loss"],
                    "accuracy": tested["accuracy"],
                    "chosen_step": record["chosen_step"],
                }
            )
            log(f"{member}: test accuracy {100 * tested['accuracy']:.2f} %")
    write_parquet(output, pd.DataFrame(evaluated))


def sweep_labels(
    *,
    records: Mapping[str, Path],
    target: Path,
    split: Path,
    models: Sequence[int],
    thresholds: Sequence[float],
    output: Path,
    device: str = "auto",
    threads: int = 1,
    log: Log,
) -> None:
    """Precision and coverage of hard labels for several numbers of models and thresholds.

    Args:
        records: run.json of every member of the grid; the best on H label U, as `select_top` ranks them.
        target: folder of the target domain; the labels of U are read here, to judge and not to use.
        split: this draw's split.
        models: numbers of models R.
        thresholds: probabilities.
        output: Parquet file with a row per R and threshold: accepted, coverage and precision (fractions; precision
            is NaN where nothing is accepted).
        device: "auto", "cpu" or "cuda".
        threads: CPU threads.
        log: gets one line per model.
    """
    domain = open_domain(target)
    rows = np.asarray(read_split(split, domain)["U"], dtype=np.int64)
    ranked = rank({member: read_json(path) for member, path in records.items()})
    best = {name: records[name].parent / "model.safetensors" for name in ranked[: max(models)]}
    with device_for_run(device, threads) as where:
        probabilities_MNC = predict_unlabelled(best, domain, rows, where, log)
    truth = domain.labels[rows]
    judged = []
    for count in models:
        for threshold in thresholds:
            labels = label_unlabelled(probabilities_MNC[:count], rows, threshold)["label"]
            accepted = labels.to_numpy() >= 0
            right = labels.to_numpy()[accepted] == truth[accepted]
            judged.append(
                {
                    "models": count,
                    "threshold": threshold,
                    "accepted": int(accepted.sum()),
                    "coverage": float(accepted.mean()),
                    "precision": float(right.mean()) if accepted.any() else float("nan"),
                }
            )
    write_parquet(output, pd.DataFrame(judged))
