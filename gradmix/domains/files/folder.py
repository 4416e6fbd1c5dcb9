"""Anybody's own images or clips: a folder with a folder per class."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from gradmix.domains.files.listing import Kind, LeftOut, Listing, MediaFile
from gradmix.domains.files.tree import (
    Entry,
    abridged,
    inventory_of,
    is_kind,
    may_be_kind,
    newest,
    scan,
)
from gradmix.domains.names import printable


def list_folder(
    kind: Kind, settings: Mapping[str, Any], data_dir: Path, wanted: Collection[str] | None
) -> Listing:
    """List the files of a kind below `folder`, at any depth below their class's folder.

    Settings: `folder` (relative to data_dir, or absolute), and optionally `group_pattern`, a regular
    expression with one group: files of one class in which it captures the same are one group.

    Raises:
        ValueError: the folder is missing or has no class folders; or the pattern is no regular
            expression with one group.
    """
    folder = data_dir / str(settings["folder"])
    if not os.path.isdir(folder):
        raise ValueError(f"{folder} does not exist (`folder` is relative to data_dir, {data_dir})")
    pattern = _pattern(settings.get("group_pattern"))
    files, left_out, other, loose, ungrouped = [], [], [], [], 0
    for entry in scan(folder):
        class_name, _, rest = entry.path.partition("/")
        if entry.reason and may_be_kind(entry, kind):
            if wanted is None or class_name in ("", *wanted):
                original = printable(entry.path) or str(folder)
                left_out.append(LeftOut(original, entry.reason))
        elif not rest:
            loose.append(entry)
        elif not is_kind(entry.path, kind):
            other.append(entry)
        elif wanted is None or class_name in wanted:
            match = pattern.search(entry.path) if pattern else None
            group = f"{class_name}/{match[1]}" if match and match[1] else ""
            ungrouped += pattern is not None and not group
            name = printable(entry.path)
            files.append(MediaFile(folder / entry.path, class_name, name, printable(group)))
    if not files and loose:
        raise ValueError(
            f"{folder}: {printable(loose[0].path)} lies there itself; {kind} belong into a folder per class"
        )
    notes = [
        *_note(other, f"files that are no {kind}"),
        *_note(loose, "files in no class folder"),
    ]
    if ungrouped:
        notes.append(f"{ungrouped} {kind} do not match group_pattern and have no group")
    return Listing(kind, files, left_out, notes=notes)


def tree_files(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """List the newest file below `folder`."""
    folder = data_dir / str(settings["folder"])
    return newest(folder, scan(folder))


def tree_folder(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """List `folder`."""
    return [data_dir / str(settings["folder"])]


def tree_inventory(settings: Mapping[str, Any], data_dir: Path) -> str:
    """Hash names and sizes of the files below `folder`."""
    return inventory_of(scan(data_dir / str(settings["folder"])))


def _pattern(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(f"group_pattern {text!r} is no regular expression: {error}") from None
    if pattern.groups != 1:
        raise ValueError(f"group_pattern {text!r} must have one group, such as '_g(\\d+)_'")
    return pattern


def _note(entries: list[Entry], what: str) -> list[str]:
    names = [printable(entry.path) for entry in entries]
    return [f"{len(names)} {what}, passed over: {abridged(names)}"] if names else []
