"""Prepares one domain: loads its origin, selects and renames classes, resizes, writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gradmix.domains.format import write_domain
from gradmix.domains.raw import RawImages
from gradmix.domains.registry import origin_module
from gradmix.domains.resize import resize_bilinear

_CHUNK = 1024


def prepare_domain(
    name: str,
    settings: Mapping[str, Any],
    classes: Sequence[str],
    image: tuple[int, int],
    data_dir: str | Path,
    folder: str | Path,
    code: str,
    log: Callable[[str], None] | None = None,
) -> None:
    """Writes the domain `name` into `folder`.

    Args:
        name: of the domain, for messages and domain.json.
        settings: the domain's part of the configuration: `origin`, `label_space`, what the origin
            needs, and optionally `classes` (origin class -> class of the label space; unnamed
            classes keep their names) and `resize` ("bilinear", the default, or "none").
        classes: the label space's class names; a label is a position here. Images of other classes
            are left out and counted in domain.json's notes.
        image: height and width of the written images, unless `resize` is "none". Channels stay as
            the origin has them.
        data_dir: where raw files lie.
        folder: of the domain; an older domain there is replaced.
        code: fingerprint of the code, recorded in domain.json.
        log: takes one line at a time.

    Raises:
        ValueError: names the domain and the setting, file or class at fault.
    """
    say = log or (lambda line: None)
    resize = settings.get("resize") or "bilinear"
    if resize not in ("bilinear", "none"):
        raise ValueError(f"domains.{name}.resize must be bilinear or none, but got {resize!r}")
    classes = [str(label) for label in classes]
    renamed = {str(old): str(new) for old, new in (settings.get("classes") or {}).items()}
    _check_names(name, renamed, classes, str(settings.get("label_space")))
    wanted = {old for old, new in renamed.items() if new in classes} | {
        c for c in classes if c not in renamed
    }
    try:
        raw = origin_module(settings).load(settings, Path(data_dir), wanted)
        _check_raw(raw)
    except ValueError as error:
        raise ValueError(f"domains.{name}: {error}") from error
    labels, notes = _select(name, raw, renamed, classes)
    rows = np.flatnonzero(labels >= 0)
    for note in notes:
        say(f"{name}: {note}")
    info = {
        "name": name,
        "origin": settings["origin"],
        "label_space": settings.get("label_space"),
        "classes": classes,
        "sources": raw.sources,
        "code": code,
        "notes": [*raw.notes, *notes],
    }
    write_domain(
        folder,
        _chunks(raw.images, rows, image if resize == "bilinear" else None),
        _index(raw, labels, rows, classes),
        info,
    )
    say(f"{name}: {len(rows)} images of {len(classes)} classes written to {folder}")


def _check_names(
    name: str, renamed: Mapping[str, str], classes: Sequence[str], label_space: str
) -> None:
    for old, new in renamed.items():
        if new not in classes:
            known = ", ".join(classes)
            raise ValueError(
                f"domains.{name}.classes.{old}: {new!r} is no class of label space "
                f"{label_space!r} ({known})"
            )


def _check_raw(raw: RawImages) -> None:
    """What every origin must hold to; a user's arrays are checked where they are read."""
    images = raw.images
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"images must be (N,H,W,C) uint8 with C = 1 or 3, but are {images.shape} {images.dtype}"
        )
    lists = {
        "class names": raw.class_names,
        "originals": raw.originals,
        "groups": raw.groups,
        "clips": raw.clips,
    }
    for what, values in lists.items():
        if values is not None and len(values) != len(images):
            raise ValueError(f"{len(images)} images, but {len(values)} {what}")


def _select(
    name: str, raw: RawImages, renamed: Mapping[str, str], classes: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """Label of each image, -1 for images that are left out, and a note on these."""
    found, code_N = np.unique(np.asarray(raw.class_names).astype(str), return_inverse=True)
    absent = [old for old in renamed if old not in found]
    if absent:
        raise ValueError(
            f"domains.{name}.classes: the origin has no class {absent[0]!r}; "
            f"it has {_listed(found)}"
        )
    position = {label: number for number, label in enumerate(classes)}
    new_names = [renamed.get(old, old) for old in found]
    twice = {
        new
        for old, new in zip(found, new_names, strict=True)
        if old == new and new in renamed.values() and old not in renamed
    }
    for label in twice:
        raise ValueError(
            f"domains.{name}.classes: {label!r} is the new name of another class and the origin's "
            "own name of one; "
            f"name {label!r} in `classes` too, to say what becomes of it"
        )
    label_of_found = np.array([position.get(new, -1) for new in new_names], dtype=np.int64)
    labels_N = label_of_found[code_N.reshape(-1)]
    counts = np.bincount(labels_N[labels_N >= 0], minlength=len(classes))
    present = [label for label, count in zip(classes, counts, strict=True) if count]
    if not present:
        raise ValueError(
            f"domains.{name}: no image is of a class of its label space ({_listed(classes)}); "
            f"the origin has {_listed(found)}"
        )
    if len(present) == 1:
        raise ValueError(
            f"domains.{name}: all {counts.sum()} images are of one class, {present[0]!r}; "
            "nothing can be learned from it"
        )
    if len(present) < len(classes):
        lacking = next(label for label in classes if label not in present)
        raise ValueError(
            f"domains.{name}: has no image of class {lacking!r} of its label space; "
            f"it has {_listed(present)}"
        )
    left_out = Counter(
        {
            old: int(count)
            for old, count, label in zip(
                found, np.bincount(code_N.reshape(-1)), label_of_found, strict=True
            )
            if label < 0
        }
    )
    if not left_out:
        return labels_N, []
    parts = ", ".join(f"{old} ({count})" for old, count in left_out.items())
    return labels_N, [
        f"{left_out.total()} images left out, of classes outside the label space: {parts}"
    ]


def _listed(names: Sequence[str] | np.ndarray) -> str:
    shown = ", ".join(repr(str(name)) for name in names[:20])
    return f"{shown}, ... ({len(names)} in all)" if len(names) > 20 else shown


def _chunks(
    images: np.ndarray, rows: np.ndarray, size: tuple[int, int] | None
) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _CHUNK):
        chunk = images[rows[start : start + _CHUNK]]
        yield chunk if size is None else resize_bilinear(chunk, *size)


def _index(
    raw: RawImages, labels: np.ndarray, rows: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    def taken(values: Sequence[str] | np.ndarray | None) -> np.ndarray:
        return np.full(len(rows), "") if values is None else np.asarray(values, dtype=str)[rows]

    return pd.DataFrame(
        {
            "label": labels[rows],
            "class_name": np.asarray(classes, dtype=str)[labels[rows]],
            "group": taken(raw.groups),
            "clip": taken(raw.clips),
            "original": taken(raw.originals),
        }
    )
