"""MPII Human Pose (Andriluka, Pishchulin, Gehler, Schiele 2014) as a data set of activities.

The annotations are the official .mat (struct RELEASE: annolist(i).image.name, img_train(i), act(i).act_name and
.cat_name), or a conversion of it to JSON: nested in the same way, or a list with an object per image that has
`image` (or `name`), `act_name`, `cat_name` and `img_train`. Test images have no activity.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from gradmix.domains.files.listing import Listing, MediaFile
from gradmix.domains.files.tree import inventory_of, leads_out, newest, on_disk, scan
from gradmix.domains.names import printable
from gradmix.files import sha256_of

URL = "http://human-pose.mpi-inf.mpg.de"
_ANNOTATIONS = "mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat"
_IMAGES = "images"


def raw_files(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """List the annotations and the newest image."""
    annotations, images = _annotations(settings, data_dir), _images(settings, data_dir)
    return [path for path in (annotations,) if os.path.isfile(path)] + newest(images, scan(images))


def laid_by_hand(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """List the annotations and the folder of images."""
    return [_annotations(settings, data_dir), _images(settings, data_dir)]


def inventory(settings: Mapping[str, Any], data_dir: Path) -> str:
    """Hash names and sizes of the images."""
    return inventory_of(scan(_images(settings, data_dir)))


def listing(settings: Mapping[str, Any], data_dir: Path, wanted: Collection[str] | None) -> Listing:
    """List the images with an activity; the class is `labels`, act_name (410 activities) or cat_name.

    `part` "train" takes images of the training set, "all" every image that has an activity.

    Raises:
        ValueError: annotations or images are missing, or the annotations have another layout; names
            the file and the field.
    """
    path, folder = _annotations(settings, data_dir), _images(settings, data_dir)
    what = f"MPII (from {URL}; both settings are relative to data_dir)"
    if not os.path.isfile(path):
        raise ValueError(f"{path} does not exist: `annotations` is the .mat or .json of {what}")
    if not os.path.isdir(folder):
        raise ValueError(f"{folder} does not exist: `images` is the folder of images of {what}")
    column, part = settings["labels"], settings["part"]
    files: dict[str, MediaFile] = {}
    without, twice, test = 0, [], 0
    for record in _records(path):
        name, class_name = record["name"], record[column]
        if leads_out(Path(name)):
            raise ValueError(f"{path}: the image {name!r} leads out of {folder}")
        if part == "train" and not record["img_train"]:
            test += 1
        elif not class_name:
            without += 1
        elif name in files:
            twice.append(name)
        else:
            files[name] = MediaFile(folder / name, class_name, printable(name), record["group"])
    if not files:
        raise ValueError(f"{path}: no image has a {column}")
    chosen = [
        file for _, file in sorted(files.items()) if wanted is None or file.class_name in wanted
    ]
    present, missing = on_disk(chosen)
    notes = []
    if test:
        notes.append(f"{test} images of the test set passed over")
    if without:
        notes.append(f"{without} images without {column} passed over")
    if twice:
        notes.append(f"{len(twice)} images are annotated more than once, the first one counts")
    return Listing(
        kind="images",
        files=present,
        left_out=missing,
        sources={path.name: sha256_of(path)},
        notes=notes,
    )


def _annotations(settings: Mapping[str, Any], data_dir: Path) -> Path:
    return data_dir / str(settings.get("annotations") or _ANNOTATIONS)


def _images(settings: Mapping[str, Any], data_dir: Path) -> Path:
    return data_dir / str(settings.get("images") or _IMAGES)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """Read name, act_name, cat_name, img_train and group of every image; frames of one video are a group."""
    try:
        content = _read_json(path) if path.suffix.lower() == ".json" else _read_mat(path)
        yield from (_flat(content) if isinstance(content, list) else _nested(content))
    except _LayoutError as error:
        raise ValueError(f"{path}: not MPII's layout: {error}") from None


class _LayoutError(ValueError):
    """Names a missing field by its path."""


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: no JSON ({error})") from error


def _read_mat(path: Path) -> Any:
    from scipy.io import loadmat

    try:
        # Structs come as objects with attributes, single elements without their arrays.
        return loadmat(path, squeeze_me=True, struct_as_record=False)
    except Exception as error:  # SciPy has exceptions of its own for damaged files
        raise ValueError(f"{path}: no .mat file that can be read ({error})") from error


def _flat(records: list[Any]) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(records):
        where = f"[{number}]"
        image = _field(record, "image" if _has(record, "image") else "name", where)
        name = _field(image, "name", f"{where}.image") if not isinstance(image, str) else image
        yield {
            "name": _text(name),
            "act_name": _text(_field(record, "act_name", where)),
            "cat_name": _text(_field(record, "cat_name", where)),
            "img_train": bool(_field(record, "img_train", where)),
            "group": _group(record),
        }


def _nested(content: Any) -> Iterator[dict[str, Any]]:
    release = _field(content, "RELEASE", "")
    columns = {key: _field(release, key, "RELEASE") for key in ("annolist", "img_train", "act")}
    try:
        sizes = {key: len(column) for key, column in columns.items()}
    except TypeError:
        raise _LayoutError("annolist, img_train and act must be lists") from None
    if len(set(sizes.values())) != 1:
        raise _LayoutError(f"annolist, img_train and act differ in length: {sizes}")
    rows = zip(columns["annolist"], columns["img_train"], columns["act"], strict=True)
    for number, (annotation, is_train, activity) in enumerate(rows):
        where = f"RELEASE.annolist[{number}]"
        image = _field(annotation, "image", where)
        act = f"RELEASE.act[{number}]"
        yield {
            "name": _text(_field(image, "name", f"{where}.image")),
            "act_name": _text(_field(activity, "act_name", act)),
            "cat_name": _text(_field(activity, "cat_name", act)),
            "img_train": bool(is_train),
            "group": _group(annotation),
        }


def _has(record: Any, key: str) -> bool:
    return key in record if isinstance(record, Mapping) else hasattr(record, key)


def _field(record: Any, key: str, where: str) -> Any:
    if not _has(record, key):
        raise _LayoutError(f"{where}{'.' if where else ''}{key} is missing")
    return record[key] if isinstance(record, Mapping) else getattr(record, key)


def _group(annotation: Any) -> str:
    number = _field(annotation, "vidx", "") if _has(annotation, "vidx") else None
    if number is None or getattr(number, "size", 1) == 0:
        return ""
    try:
        return f"video {int(number)}"
    except (TypeError, ValueError, OverflowError):
        raise _LayoutError(f"vidx must be a whole number, but is {number!r}") from None


def _text(value: Any) -> str:
    """Read a text: a .mat has an empty array for an empty one, and some JSON conversions have null."""
    return value.strip() if isinstance(value, str) else ""
