"""Read how good the pseudo-labels are (quality.json, made with the truth after training was over)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from gradmix.results.data import key_of_file
from gradmix.results.records import read_json

_COUNTS = ("accepted_per_class", "correct_per_class", "truth_per_class", "accepted_by_truth")
_COLUMNS = [
    "labels_per_class",
    "draw",
    "class_name",
    *_COUNTS,
    "precision",
    "coverage",
    "soft_accuracy",
]


def read_quality(files: Iterable[str | Path]) -> pd.DataFrame:
    """Return one row per k, draw and class: the counts, precision and coverage (fractions; NaN where undefined).

    precision = correct / accepted, by predicted class; coverage = accepted / all, by true class; `soft_accuracy` (of
    the mean softmax over all of U, the same for all classes) may be missing. Raises `ValueError` naming a broken file.
    """
    parts = []
    for file in files:
        record = read_json(file)
        classes = record.get("classes", [])
        for column in _COUNTS:
            if not classes or len(record.get(column, [])) != len(classes):
                raise ValueError(f"{file}: {column} must have one number for each of its classes")
        labels_per_class, draw = key_of_file(file, record)
        counts = {column: np.asarray(record[column], dtype=float) for column in _COUNTS}
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = counts["correct_per_class"] / counts["accepted_per_class"]
            coverage = counts["accepted_by_truth"] / counts["truth_per_class"]
        accuracy = record.get("soft_accuracy")
        parts.append(
            pd.DataFrame(
                {
                    "labels_per_class": labels_per_class,
                    "draw": draw,
                    "class_name": [str(name) for name in classes],
                    **counts,
                    "precision": precision,
                    "coverage": coverage,
                    "soft_accuracy": np.nan if accuracy is None else float(accuracy),
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_COLUMNS)


def overall_quality(quality: pd.DataFrame) -> pd.DataFrame:
    """Return one row per k and draw over all classes: unlabelled, accepted, precision, coverage, soft_accuracy.

    Precision and coverage are fractions; precision is NaN where nothing was accepted.
    """
    rows = []
    for (labels_per_class, draw), part in quality.groupby(["labels_per_class", "draw"]):
        accepted = int(part["accepted_per_class"].sum())
        unlabelled = int(part["truth_per_class"].sum())
        rows.append(
            {
                "labels_per_class": labels_per_class,
                "draw": draw,
                "unlabelled": unlabelled,
                "accepted": accepted,
                "precision": part["correct_per_class"].sum() / accepted if accepted else np.nan,
                "coverage": accepted / unlabelled if unlabelled else np.nan,
                "soft_accuracy": part["soft_accuracy"].iloc[0],
            }
        )
    columns = ["labels_per_class", "draw", "unlabelled", "accepted", "precision", "coverage"]
    return pd.DataFrame(rows, columns=[*columns, "soft_accuracy"])
