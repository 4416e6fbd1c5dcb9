"""Read how good the pseudo-labels are (quality.json, made with the truth after training was over)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradmix.results.records import key_of_record, read_json

if TYPE_CHECKING:
    import pandas as pd

_COUNTS = ("accepted_per_class", "correct_per_class", "truth_per_class", "accepted_by_truth")
_COLUMNS = ["labels_per_class", "draw", "class_name", *_COUNTS, "soft_accuracy"]


def read_quality(files: Iterable[str | Path]) -> pd.DataFrame:
    """Return one row per k, draw and class: the counts, precision and coverage (fractions; NaN where undefined).

    precision = correct / accepted, by predicted class; coverage = accepted / all, by true class; `soft_accuracy` (of
    the mean softmax over all of U, the same for all classes) may be missing. Raises `ValueError` naming a broken file.
    """
    import pandas as pd

    rows = []
    for file in files:
        record = read_json(file)
        classes = record.get("classes", [])
        for column in _COUNTS:
            if not classes or len(record.get(column, [])) != len(classes):
                raise ValueError(f"{file}: {column} must have one number for each of its classes")
        key, accuracy = key_of_record(file, record), record.get("soft_accuracy")
        counts = zip(*(record[column] for column in _COUNTS), strict=True)
        rows += [
            (*key, str(name), *numbers, accuracy)
            for name, numbers in zip(classes, counts, strict=True)
        ]
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    frame = frame.astype(dict.fromkeys((*_COUNTS, "soft_accuracy"), np.float64))
    return frame.assign(
        precision=frame["correct_per_class"] / frame["accepted_per_class"],
        coverage=frame["accepted_by_truth"] / frame["truth_per_class"],
    )


def overall_quality(quality: pd.DataFrame) -> pd.DataFrame:
    """Return one row per k and draw over all classes: unlabelled, accepted, precision, coverage, soft_accuracy.

    Precision and coverage are fractions; precision is NaN where nothing was accepted.
    """
    overall = quality.groupby(["labels_per_class", "draw"], as_index=False).agg(
        unlabelled=("truth_per_class", "sum"),
        accepted=("accepted_per_class", "sum"),
        correct=("correct_per_class", "sum"),
        soft_accuracy=("soft_accuracy", "first"),
    )
    return overall.assign(
        precision=overall["correct"] / overall["accepted"],
        coverage=overall["accepted"] / overall["unlabelled"],
    )
