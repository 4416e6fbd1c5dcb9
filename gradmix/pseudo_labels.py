"""Gives U hard and soft pseudo-labels, and enlarges V with some of them (Li et al. 2020, section 3.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradmix.domains.format import open_domain
from gradmix.files import write_json
from gradmix.seeds import derive_seed
from gradmix.split_files import read_split

if TYPE_CHECKING:
    import pandas as pd


def label_unlabelled(
    probabilities_RNC: np.ndarray, rows: np.ndarray, threshold: float
) -> pd.DataFrame:
    """Label N images by R models over C classes.

    Hard: the class that all models give the largest probability, if every one of these is above the
    threshold; else -1. Soft: the mean of the models' probabilities.

    Args:
        probabilities_RNC: softmax of each model.
        rows: (N,) row of each image in the target domain.
        threshold: each model's probability must be larger.

    Returns:
        A row per image: row, label, confidence (the least of the models' probabilities of the mean's class),
        model_<r>_label, model_<r>_confidence, soft_<c>.

    Raises:
        ValueError: if the shapes do not fit, the threshold is no probability, or a model predicts NaN.
    """
    import pandas as pd

    models, count, classes = probabilities_RNC.shape
    if len(rows) != count:
        raise ValueError(f"{count} predictions, but {len(rows)} rows")
    if not 0 <= threshold < 1:
        raise ValueError(f"pseudo_labels.threshold must lie in [0, 1), but got {threshold}")
    finite_R = np.isfinite(probabilities_RNC).all(axis=(1, 2))
    if not finite_R.all():
        raise ValueError(f"model {np.flatnonzero(~finite_R)[0]} of the ensemble predicts NaN")
    labels_RN = probabilities_RNC.argmax(axis=2)
    best_RN = probabilities_RNC.max(axis=2)
    agreed_N = (labels_RN == labels_RN[0]).all(axis=0) & (best_RN > threshold).all(axis=0)
    soft_NC = probabilities_RNC.mean(axis=0)
    mean_label_N = soft_NC.argmax(axis=1)
    confidence_N = probabilities_RNC[:, np.arange(count), mean_label_N].min(axis=0)
    columns: dict[str, Any] = {
        "row": np.asarray(rows, dtype=np.int64),
        "label": np.where(agreed_N, labels_RN[0], -1).astype(np.int64),
        "confidence": confidence_N.astype(np.float32),
    }
    for r in range(models):
        columns[f"model_{r}_label"] = labels_RN[r].astype(np.int64)
        columns[f"model_{r}_confidence"] = best_RN[r].astype(np.float32)
    for c in range(classes):
        columns[f"soft_{c}"] = soft_NC[:, c].astype(np.float32)
    return pd.DataFrame(columns)


def enlarge(
    split: Mapping[str, Any],
    v_labels: Sequence[int],
    predictions: pd.DataFrame,
    *,
    to: int,
    seed: int,
) -> dict[str, Any]:
    """Fill V up to ``to`` images per class with hard-labelled ones, drawn at random and taken out of S_u.

    Random, not the most confident ones: that keeps V's bias low. V's own images stay in.

    Args:
        split: this draw's split.
        v_labels: labels of ``split["V"]``, in its order.
        predictions: from `label_unlabelled`.
        to: number of images per class to reach.
        seed: the experiment's seed.

    Returns:
        V and its labels, which of them are pseudo-labels, S_u for hard and for soft labels (where no image has a
        hard label, the soft one still holds all of U), sizes, shortfall, notes.

    Raises:
        ValueError: if the predictions are not those of the split's U, each image once.
    """
    classes = list(split["classes"])
    rows, labels = predictions["row"].to_numpy(), predictions["label"].to_numpy()
    if not np.array_equal(np.sort(rows), np.sort(split["U"])):
        raise ValueError(
            f"draw {split['draw']}: the predictions are not those of the images in this split's U"
        )
    random = np.random.default_rng(
        derive_seed(seed, "enlarge", split["draw"], split["labels_per_class"])
    )
    v_rows, all_labels = list(split["V"]), [int(label) for label in v_labels]
    shortfall: dict[str, int] = {}
    added: list[int] = []
    for label, name in enumerate(classes):
        wanted = max(0, to - all_labels.count(label))
        accepted = random.permutation(np.flatnonzero(labels == label))
        if len(accepted) < wanted:
            shortfall[name] = wanted - len(accepted)
        taken = accepted[:wanted].tolist()
        added += taken
        v_rows += rows[taken].tolist()
        all_labels += [label] * len(taken)
    rest = np.setdiff1d(np.arange(len(rows)), added)
    hard = rest[labels[rest] >= 0]
    notes = []
    if not (labels >= 0).any():
        notes.append(
            "no pseudo-label accepted: V is not enlarged, and there is no S_u with hard labels"
        )
    elif shortfall:
        missing = ", ".join(f"{name} lacks {count}" for name, count in shortfall.items())
        notes.append(f"V has fewer than {to} images of some classes: {missing}")
    return {
        "V": v_rows,
        "V_labels": all_labels,
        "V_is_pseudo": [False] * len(split["V"]) + [True] * len(added),
        "S_u_hard": rows[hard].tolist(),
        "S_u_hard_labels": labels[hard].tolist(),
        "S_u_soft": rows[rest].tolist(),
        "size_per_class": {name: all_labels.count(label) for label, name in enumerate(classes)},
        "shortfall": shortfall,
        "notes": notes,
    }


def quality(predictions: pd.DataFrame, truth: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Measure how right the pseudo-labels are; for reading only, since it looks at the labels of U.

    Args:
        predictions: from `label_unlabelled`.
        truth: true labels of its rows.
        classes: class names.
    """
    label = predictions["label"].to_numpy()
    accepted, right = label >= 0, label == truth
    soft = predictions[[f"soft_{c}" for c in range(len(classes))]].to_numpy().argmax(axis=1)

    def per_class(values: np.ndarray) -> list[int]:
        counts: list[int] = np.bincount(values, minlength=len(classes)).tolist()
        return counts

    return {
        "classes": list(classes),
        "accepted_per_class": per_class(label[accepted]),
        "correct_per_class": per_class(label[accepted & right]),
        "truth_per_class": per_class(truth),
        "accepted_by_truth": per_class(truth[accepted]),
        "precision": float(right[accepted].mean()) if accepted.any() else None,
        "coverage": float(accepted.mean()),
        "soft_accuracy": float((soft == truth).mean()),
    }


def write_enlarged(
    *,
    target: Path,
    split: str | Path,
    predictions: str | Path,
    to: int,
    seed: int,
    output: str | Path,
    log: Callable[[str], None],
) -> None:
    """`enlarge`, from the target domain's folder and the files of one draw to JSON."""
    import pandas as pd

    domain = open_domain(target)
    drawn = read_split(split, domain)
    labels = domain.labels[drawn["V"]].tolist()
    enlarged = enlarge(drawn, labels, pd.read_parquet(predictions), to=to, seed=seed)
    for note in enlarged["notes"]:
        log(f"note: {note}")
    write_json(output, enlarged)


def write_quality(
    *, target: Path, predictions: str | Path, labels_per_class: int, draw: int, output: str | Path
) -> None:
    """`quality`, from the target domain's folder and the predictions of one draw to JSON."""
    import pandas as pd

    domain, frame = open_domain(target), pd.read_parquet(predictions)
    truth = domain.labels[frame["row"].to_numpy()]
    key = {"labels_per_class": labels_per_class, "draw": draw}
    write_json(output, key | quality(frame, truth, domain.classes))
