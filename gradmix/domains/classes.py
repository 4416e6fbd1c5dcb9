"""Turns an origin's class names into labels of a label space: selects and renames classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np


def renaming(settings: Mapping[str, Any]) -> dict[str, str]:
    """Read a domain's `classes`: class of the origin -> class of the label space, both as texts."""
    return {str(old): str(new) for old, new in (settings.get("classes") or {}).items()}


def wanted_classes(renamed: Mapping[str, str], classes: Sequence[str]) -> set[str]:
    """List the origin's classes that end in the label space, if the origin has them.

    Args:
        renamed: class of the origin -> class of the label space; unnamed ones keep their names.
        classes: of the label space.

    Raises:
        ValueError: a new name is no class of the label space.
    """
    for old, new in renamed.items():
        if new not in classes:
            raise ValueError(
                f"`classes`, {old!r}: {new!r} is not in the label space ({_listed(classes)})"
            )
    return set(renamed) | {label for label in classes if label not in renamed}


def labels_of(
    names_N: np.ndarray, renamed: Mapping[str, str], classes: Sequence[str]
) -> tuple[np.ndarray, dict[str, int]]:
    """Label N images, and count the images of every class of the origin that is left out.

    Args:
        names_N: the origin's class name of each image.
        renamed: class of the origin -> class of the label space; unnamed ones keep their names.
        classes: of the label space; a label is a position here.

    Returns:
        (N,) int64 labels, -1 where the class is not in the label space, and {class: images} of these.

    Raises:
        ValueError: the label space has a class without images, or only one class with images; a
            renamed class does not exist; or a new name is also the origin's name of another class.
    """
    names_C, inverse, counts_C = np.unique(
        np.asarray(names_N, dtype=str), return_inverse=True, return_counts=True
    )
    origin_classes = [str(name) for name in names_C]
    for old in renamed:
        if old not in origin_classes:
            raise ValueError(
                f"`classes`: the origin has no class {old!r}; it has {_listed(origin_classes)}"
            )
    for name in origin_classes:
        # Merging by accident would teach two classes as one.
        if name not in renamed and name in renamed.values():
            raise ValueError(
                f"`classes`: {name!r} is the new name of another class and the origin's own name "
                f"of one; name {name!r} there too, to say what becomes of it"
            )
    position = {label: number for number, label in enumerate(classes)}
    label_C = np.array([position.get(renamed.get(name, name), -1) for name in origin_classes])
    _check_presence(classes, {int(label) for label in label_C if label >= 0}, origin_classes)
    left_out = {
        name: int(count)
        for name, count, label in zip(origin_classes, counts_C, label_C, strict=True)
        if label < 0
    }
    return label_C[inverse.reshape(-1)].astype(np.int64), left_out


def left_out_note(left_out: Mapping[str, int], what: str) -> list[str]:
    """Say, in a sentence for domain.json, which classes `labels_of` left out; no sentence for none."""
    if not left_out:
        return []
    counts = ", ".join(f"{name} ({count})" for name, count in left_out.items())
    total = sum(left_out.values())
    return [f"{total} {what} left out, of classes outside the label space: {counts}"]


def _check_presence(
    classes: Sequence[str], labels: Collection[int], origin_classes: Sequence[str]
) -> None:
    present = [label for number, label in enumerate(classes) if number in labels]
    if not present:
        raise ValueError(
            f"no image is of a class of the label space ({_listed(classes)}); "
            f"the origin has {_listed(origin_classes)}"
        )
    if len(present) == 1:
        raise ValueError(
            f"all images of the label space are of one class, {present[0]!r}: "
            "nothing can be learned from them"
        )
    if len(present) < len(classes):
        lacking = next(label for label in classes if label not in present)
        raise ValueError(
            f"there is no image of class {lacking!r} of the label space, only of {_listed(present)}"
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:20]))
    return f"{shown}, ... ({len(names)} in all)" if len(names) > 20 else shown
