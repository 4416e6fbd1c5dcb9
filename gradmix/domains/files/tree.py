"""Lists folders of images and clips, quickly, because workflows ask while they are parsed."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradmix.domains.files.listing import Kind, LeftOut, MediaFile
from gradmix.files import sha256_of

EXTENSIONS: dict[Kind, frozenset[str]] = {
    "images": frozenset({"jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff"}),
    "clips": frozenset(
        {"avi", "mp4", "mkv", "mov", "webm", "mpg", "mpeg", "m4v", "wmv", "3gp", "flv"}
    ),
}


@dataclass(frozen=True)
class Entry:
    """A file below a folder: path with `/`, size in bytes, time of its last change in nanoseconds."""

    path: str
    size: int
    changed: int


def scan(folder: Path) -> list[Entry]:
    """List all files below a folder in the order of their paths, but hidden ones; none if there is no folder."""
    entries: list[Entry] = []
    waiting = [("", str(folder))]
    while waiting:
        prefix, place = waiting.pop()
        try:
            inside = os.scandir(place)
        except (FileNotFoundError, NotADirectoryError):
            continue
        with inside:
            for entry in inside:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    waiting.append((f"{prefix}{entry.name}/", entry.path))
                else:
                    status = entry.stat()
                    path = f"{prefix}{entry.name}"
                    entries.append(Entry(path, status.st_size, status.st_mtime_ns))
    return sorted(entries, key=lambda entry: entry.path)


def printable(path: str) -> str:
    """Make a path fit for messages and tables; bytes that are no UTF-8 become question marks."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def is_kind(path: str, kind: Kind) -> bool:
    """Whether the file's name says that it is an image, or a clip."""
    return path.rpartition(".")[2].lower() in EXTENSIONS[kind]


def inventory_of(entries: Iterable[Entry]) -> str:
    """Hash names and sizes; the hash changes when files are added, taken away or changed in size."""
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(f"{entry.path}\0{entry.size}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def newest(folder: Path, entries: Iterable[Entry]) -> list[Path]:
    """Pick the file that changed last, for a workflow that compares times; none if there is none."""
    last = max(entries, key=lambda entry: (entry.changed, entry.path), default=None)
    return [] if last is None else [folder / last.path]


def copies_elsewhere(
    kept: Iterable[MediaFile], others: Mapping[str, Iterable[MediaFile]]
) -> dict[str, LeftOut]:
    """List, by path, files whose content is also in another part of the data: they would leak between the parts.

    Contents are compared only where sizes are equal; empty files are no copies.

    Args:
        kept: files of the part that is listed.
        others: files of the other parts, by a name of the part for messages.
    """
    sizes: dict[int, list[tuple[str, MediaFile]]] = defaultdict(list)
    for part, files in others.items():
        for file in files:
            size = _size(file.path)
            if size:
                sizes[size].append((part, file))
    copies = {}
    for file in kept:
        for part, other in sizes.get(_size(file.path), []):
            if sha256_of(file.path) == sha256_of(other.path):
                reason = f"the same file as {other.original} of {part}"
                copies[file.original] = LeftOut(file.original, reason)
                break
    return copies


def on_disk(files: Iterable[MediaFile]) -> tuple[list[MediaFile], list[LeftOut]]:
    """Part files into those that exist and those that do not."""
    present, missing = [], []
    for file in files:
        if file.path.is_file():
            present.append(file)
        else:
            missing.append(LeftOut(file.original, "not on disk"))
    return present, missing


def abridged(names: Sequence[str], most: int = 5) -> str:
    """Join names for a message; those beyond the first few are counted."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def without(files: list[MediaFile], left_out: Mapping[str, LeftOut]) -> list[MediaFile]:
    """Drop the files that are left out."""
    return [file for file in files if file.original not in left_out]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
