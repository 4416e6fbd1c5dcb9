"""Turns an origin's class names into labels: positions in a label space, whose own names no domain needs to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def labels_of(
    names_N: np.ndarray, positions: Mapping[str, int] | None
) -> tuple[np.ndarray, list[str], dict[str, int]]:
    """Label N images, and count the images of every class of the origin that is left out.

    Args:
        names_N: the origin's class name of each image.
        positions: label of each of the origin's classes that are kept, from 0 on; classes with one label are merged.
            `None`: every class is kept, sorted.

    Returns:
        (N,) int64 labels, -1 where the class is left out; the name of every label, in the origin's words; and
        {class: images} of those left out.

    Raises:
        ValueError: the origin lacks a class, or all images are of one label.
    """
    names_C, inverse, counts_C = np.unique(
        np.asarray(names_N, dtype=str), return_inverse=True, return_counts=True
    )
    origin_classes = [str(name) for name in names_C]
    if positions is None:
        positions = {name: label for label, name in enumerate(origin_classes)}
    _check_presence(positions, origin_classes)
    label_C = np.array([positions.get(name, -1) for name in origin_classes])
    left_out = {
        name: int(count)
        for name, count, label in zip(origin_classes, counts_C, label_C, strict=True)
        if label < 0
    }
    return label_C[inverse.reshape(-1)].astype(np.int64), names_of(positions), left_out


def names_of(positions: Mapping[str, int]) -> list[str]:
    """Name every label by the origin's classes that have it, such as `cat + kitten`."""
    merged: dict[int, list[str]] = {}
    for name, label in positions.items():
        merged.setdefault(label, []).append(name)
    return [" + ".join(sorted(merged[label])) for label in sorted(merged)]


def left_out_note(left_out: Mapping[str, int], what: str) -> list[str]:
    """Say, in a sentence for domain.json, which classes `labels_of` left out; no sentence for none."""
    if not left_out:
        return []
    counts = ", ".join(f"{name} ({count})" for name, count in left_out.items())
    total = sum(left_out.values())
    return [f"{total} {what} left out, of classes outside the label space: {counts}"]


def _check_presence(positions: Mapping[str, int], origin_classes: Sequence[str]) -> None:
    lacking = [name for name in positions if name not in origin_classes]
    if len(lacking) == len(positions):
        raise ValueError(
            f"no image is of a class of the label space ({_listed(lacking)}); "
            f"the origin has {_listed(origin_classes)}"
        )
    if lacking:
        raise ValueError(
            f"the origin has no class {lacking[0]!r}, which the label space or `classes` asks for; "
            f"it has {_listed(origin_classes)}"
        )
    if len(set(positions.values())) == 1:
        raise ValueError(
            f"all images are of one class, {names_of(positions)[0]!r}: nothing can be learned from them"
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:20]))
    return f"{shown}, ... ({len(names)} in all)" if len(names) > 20 else shown
