"""UCF101 (Soomro, Zamir, Shah 2012): the official tree of .avi clips and the official lists of the three splits.

clips   <class>/v_<Class>_g<group>_c<clip>.avi      13,320 clips, 101 classes, 25 groups of each
lists   classInd.txt, trainlist0<n>.txt (with labels from 1), testlist0<n>.txt (without); CRLF line ends

Clips of one group come from one recording; the official splits never part a group.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from gradmix.domains.files.listing import Listing, MediaFile
from gradmix.domains.files.tree import (
    abridged,
    copies_elsewhere,
    inventory_of,
    is_kind,
    newest,
    on_disk,
    scan,
    without,
)
from gradmix.domains.names import NO_UTF8
from gradmix.files import sha256_of

Part = Literal["train", "test"]
_LABEL = re.compile(r"[0-9]{1,9}")
URL = "https://www.crcv.ucf.edu/data/UCF101.php"


def raw_files(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """List the official lists that will be read, and the newest clip."""
    lists = [path for path in _list_files(settings, data_dir).values() if os.path.isfile(path)]
    clips = _clips(settings, data_dir)
    return lists + newest(clips, scan(clips))


def laid_by_hand(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """List the official lists and the clips' folder."""
    return [*_list_files(settings, data_dir).values(), _clips(settings, data_dir)]


def inventory(settings: Mapping[str, Any], data_dir: Path) -> str:
    """Hash names and sizes of the clips on disk."""
    return inventory_of(scan(_clips(settings, data_dir)))


def listing(settings: Mapping[str, Any], data_dir: Path, wanted: Collection[str] | None) -> Listing:
    """List the clips of `part` (train or test) of the official split `list_split` (1 to 3).

    Raises:
        ValueError: the clips' folder or a list is missing; or a line of a list is malformed, names an
            unknown class, a label of another class, or a clip that stood there before (names file
            and line); or a group stands in both lists.
    """
    part: Part = settings["part"]
    files = _list_files(settings, data_dir)
    folder = _clips(settings, data_dir)
    classes = _read_classes(files["classes"])
    listed: dict[Part, list[MediaFile]] = {
        "train": _read_list(files["train"], classes, folder, labelled=True),
        "test": _read_list(files["test"], classes, folder, labelled=False),
    }
    _check_parts(listed, files)
    if not os.path.isdir(folder):
        raise ValueError(
            f"{folder} does not exist: the clips of UCF101 belong there, a folder per class "
            f"(from {URL}; `clips` is relative to data_dir)"
        )
    mine = [file for file in listed[part] if wanted is None or file.class_name in wanted]
    present, missing = on_disk(mine)
    if mine and not present:
        raise ValueError(
            f"{folder}: none of the {len(mine)} listed clips lies there, such as {mine[0].original}"
        )
    # Between the lists, the test clips stay: they are the same for everybody.
    copies = copies_elsewhere(present, {"the test list": listed["test"]}) if part == "train" else {}
    return Listing(
        kind="clips",
        files=without(present, copies),
        left_out=[*missing, *copies.values()],
        sources={path.name: sha256_of(path) for path in files.values()},
        notes=_not_listed(folder, listed),
    )


def group_of(name: str) -> str:
    """Read the group `<class>_g08` from a clip's file name `v_<class>_g08_c01.avi`; "" for another name."""
    match = re.fullmatch(r"v_(.+_g\d+)_c\d+\.\w+", name)
    return match[1] if match else ""


def _clips(settings: Mapping[str, Any], data_dir: Path) -> Path:
    return data_dir / str(settings.get("clips") or "UCF-101")


def _list_files(settings: Mapping[str, Any], data_dir: Path) -> dict[str, Path]:
    folder = data_dir / str(settings.get("lists") or "ucfTrainTestlist")
    number = f"{int(settings['list_split']):02d}"
    return {
        "classes": folder / "classInd.txt",
        "train": folder / f"trainlist{number}.txt",
        "test": folder / f"testlist{number}.txt",
    }


def _lines(path: Path) -> list[tuple[int, str]]:
    """Read a list's lines with their numbers, without empty ones."""
    if not os.path.isfile(path):
        raise ValueError(
            f"{path} does not exist: the official lists (ucfTrainTestlist) belong there "
            f"(from {URL}; `lists` is relative to data_dir)"
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: {NO_UTF8}") from None
    filled = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    if not filled:
        raise ValueError(f"{path} is empty; get it again (from {URL})")
    return filled


def _read_classes(path: Path) -> dict[str, int]:
    """Read the labels of the classes, from 1."""
    classes: dict[str, int] = {}
    for number, line in _lines(path):
        label, _, name = line.partition(" ")
        if not _LABEL.fullmatch(label) or not name or name in classes:
            raise ValueError(
                f"{path}, line {number}: expected a label and a new class, found {line!r}"
            )
        classes[name] = int(label)
    return classes


def _read_list(
    path: Path, classes: Mapping[str, int], folder: Path, *, labelled: bool
) -> list[MediaFile]:
    files: dict[str, MediaFile] = {}
    for number, line in _lines(path):
        where = f"{path}, line {number}"
        original, _, label = line.partition(" ")
        class_name, _, name = original.rpartition("/")
        if not class_name or not name or (labelled and not _LABEL.fullmatch(label.strip())):
            what = "class/clip.avi and a label" if labelled else "class/clip.avi"
            raise ValueError(f"{where}: expected {what}, found {line!r}")
        if class_name not in classes:
            raise ValueError(f"{where}: class {class_name!r} is not in classInd.txt")
        if labelled and int(label) != classes[class_name]:
            raise ValueError(
                f"{where}: label {label.strip()}, but classInd.txt gives {class_name} "
                f"the label {classes[class_name]}"
            )
        if original in files:
            raise ValueError(f"{where}: {original} is listed twice")
        files[original] = MediaFile(folder / original, class_name, original, group_of(name))
    return sorted(files.values(), key=lambda file: file.original)


def _check_parts(listed: Mapping[Part, list[MediaFile]], files: Mapping[str, Path]) -> None:
    both = f"{files['train'].name} and {files['test'].name}"
    clips = {file.original for file in listed["train"]}
    groups = {file.group: file.original for file in listed["train"] if file.group}
    for file in listed["test"]:
        if file.original in clips:
            raise ValueError(f"{file.original} stands in {both}")
        if file.group in groups:
            raise ValueError(
                f"group {file.group} stands in {both}: {groups[file.group]} and {file.original}"
            )


def _not_listed(folder: Path, listed: Mapping[Part, list[MediaFile]]) -> list[str]:
    clips = {entry.path for entry in scan(folder) if is_kind(entry.path, "clips")}
    known = {file.original for files in listed.values() for file in files}
    unknown = sorted(clips - known)
    return [f"{len(unknown)} clips on disk are in no list: {abridged(unknown)}"] if unknown else []
