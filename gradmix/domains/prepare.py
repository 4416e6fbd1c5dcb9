"""Prepares one domain of arrays: loads its origin, selects and merges classes, resizes, cuts its share, writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from gradmix.domains.classes import labels_of, left_out_note
from gradmix.domains.cut import Cut
from gradmix.domains.format import Chunk, stream_domain
from gradmix.domains.raw import RawImages
from gradmix.domains.resize import resize_bilinear

_CHUNK = 1024


def prepare_domain(
    name: str,
    settings: Mapping[str, Any],
    positions: Mapping[str, int] | None,
    image: tuple[int, int],
    data_dir: str | Path,
    folder: str | Path,
    code: str,
    *,
    origin: ModuleType,
    log: Callable[[str], None] | None = None,
) -> None:
    """Write the domain `name` into `folder`.

    Args:
        name: of the domain, for messages and domain.json.
        settings: the domain's part of the configuration: `origin`, `label_space`, what the origin
            needs, and optionally `resize` ("bilinear", the default, or "none"), and `share` and
            `perturbed` (see `gradmix.domains.cut`).
        positions: label of each of the origin's classes that are kept (see `labels_of`). Images of
            other classes are left out and counted in domain.json's notes. `None`: every class.
        image: height and width of the written images, unless `resize` is "none". Channels stay as
            the origin has them.
        data_dir: where raw files lie.
        folder: of the domain; an older domain there is replaced.
        code: fingerprint of the code, recorded in domain.json.
        origin: the module of `settings["origin"]` (`gradmix.domains.registry.origin_module`).
        log: takes one line at a time.

    Raises:
        ValueError: names the domain and the setting, file or class at fault.
    """
    say = log or (lambda line: None)
    resize = settings.get("resize") or "bilinear"
    if resize not in ("bilinear", "none"):
        raise ValueError(f"domains.{name}.resize must be bilinear or none, but got {resize!r}")
    try:
        raw = origin.load(settings, Path(data_dir), None if positions is None else set(positions))
        _check_raw(raw)
        labels, classes, left_out = labels_of(raw.class_names, positions)
    except ValueError as error:
        raise ValueError(f"domains.{name}: {error}") from error
    rows = np.flatnonzero(labels >= 0)
    notes = [*raw.notes, *left_out_note(left_out, "images")]
    cut, taken = Cut(settings, classes), []
    no_names = np.full(len(labels), "")
    groups = no_names if raw.groups is None else np.asarray(raw.groups, dtype=str)
    originals = np.asarray(raw.originals, dtype=str)

    def chunks() -> Iterator[Chunk]:
        for start in range(0, len(rows), _CHUNK):
            some = rows[start : start + _CHUNK]
            images = raw.images[some]
            if resize == "bilinear":
                images = resize_bilinear(images, *image)
            kept, chunk = cut.take(images, labels[some], groups[some], no_names[some])
            taken.append(some[kept])
            yield chunk

    def described() -> tuple[pd.DataFrame, dict[str, Any]]:
        kept = np.concatenate(taken)
        table = {
            "label": labels[kept],
            "class_name": np.asarray(classes, dtype=str)[labels[kept]],
            "group": groups[kept],
            "clip": no_names[kept],
            "original": originals[kept],
        }
        index = cut.finished(pd.DataFrame(table))
        notes.extend(cut.notes(index))
        return index, {
            "name": name,
            "origin": settings["origin"],
            "label_space": settings.get("label_space"),
            "classes": classes,
            "sources": raw.sources,
            "code": code,
            "notes": notes,
        }

    try:
        stream_domain(folder, chunks(), described)
    except ValueError as error:
        raise ValueError(f"domains.{name}: {error}") from error
    for note in notes:
        say(f"{name}: {note}")
    written = sum(map(len, taken))
    say(f"{name}: {written} images of {len(classes)} classes written to {folder}")


def _check_raw(raw: RawImages) -> None:
    """Check what every origin must give; a user's arrays are checked where they are read."""
    images = raw.images
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"images must be (N,H,W,C) uint8 with C = 1 or 3, but are {images.shape} {images.dtype}"
        )
    lists = {"class names": raw.class_names, "originals": raw.originals, "groups": raw.groups}
    for what, values in lists.items():
        if values is not None and len(values) != len(images):
            raise ValueError(f"{len(images)} images, but {len(values)} {what}")
