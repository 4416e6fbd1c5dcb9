"""Lists folders of images and clips, quickly, because workflows ask while they are parsed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradmix.domains.files.listing import Kind, LeftOut, MediaFile
from gradmix.domains.names import is_utf8
from gradmix.files import sha256_of

EXTENSIONS: dict[Kind, frozenset[str]] = {
    "images": frozenset({"jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff"}),
    "clips": frozenset(
        {"avi", "mp4", "mkv", "mov", "webm", "mpg", "mpeg", "m4v", "wmv", "3gp", "flv"}
    ),
}


@dataclass(frozen=True)
class Entry:
    """A file below a folder: path with `/`, size in bytes, time of its last change in nanoseconds.

    What cannot be read has a reason, in half a sentence, and mostly neither size nor time; the path of a folder that
    cannot be read ends with `/`, and that of the listed folder itself is empty.
    """

    path: str
    size: int = 0
    changed: int = 0
    reason: str = ""


def scan(folder: Path) -> list[Entry]:
    """List all files below a folder in the order of their paths, but hidden ones; none if there is no folder.

    Links are followed. Nothing that lies below the folder is an error: what cannot be read comes with the reason.
    """
    entries: list[Entry] = []
    waiting: list[tuple[str, str, tuple[tuple[int, int], ...]]] = [("", str(folder), ())]
    while waiting:
        prefix, place, above = waiting.pop()
        try:
            status = os.stat(place)
            itself = (status.st_dev, status.st_ino)
            if itself in above:
                entries.append(Entry(prefix, reason="a link back to a folder that it lies in"))
                continue
            with os.scandir(place) as reading:
                inside = list(reading)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            continue
        except OSError as error:
            entries.append(Entry(prefix, reason=f"the folder cannot be read: {error.strerror}"))
            continue
        for entry in inside:
            if entry.name.startswith("."):
                continue
            path = f"{prefix}{entry.name}"
            try:
                if entry.is_dir():
                    waiting.append((f"{path}/", entry.path, (*above, itself)))
                    continue
                status = entry.stat()
            except OSError:
                entries.append(Entry(path, reason=unusable(entry.path)))
                continue
            reason = "" if stat.S_ISREG(status.st_mode) else unusable(entry.path)
            entries.append(Entry(path, status.st_size, status.st_mtime_ns, reason))
    return sorted(entries, key=lambda entry: entry.path)


def unusable(path: str | Path) -> str:
    """Say in half a sentence why a path is no file; "" if it is one. Whether it may be read shows when it is opened."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return "a link that leads nowhere" if os.path.islink(path) else "not on disk"
    except OSError as error:
        return error.strerror or str(error)
    return "" if stat.S_ISREG(mode) else "a folder, pipe or device, no file"


def leads_out(path: Path) -> bool:
    """Whether a path from a list would leave the folder that it is relative to; links there may lead anywhere."""
    return path.is_absolute() or ".." in path.parts


def is_kind(path: str, kind: Kind) -> bool:
    """Whether the file's name says that it is an image, or a clip."""
    return path.rpartition(".")[2].lower() in EXTENSIONS[kind]


def may_be_kind(entry: Entry, kind: Kind) -> bool:
    """Whether an entry that cannot be read is one of the kind, or a folder of them, as far as its name says."""
    name = entry.path.rpartition("/")[2]
    return "." not in name or is_kind(name, kind)


def inventory_of(entries: Iterable[Entry]) -> str:
    """Hash names and sizes; the hash changes when files are added, taken away or changed in size.

    Of files that `newest` passes over it also changes with their times.
    """
    digest = hashlib.sha256()
    for entry in entries:
        changed = "" if _can_be_watched(entry) else f"\0{entry.changed}"
        digest.update(f"{entry.path}\0{entry.size}{changed}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def newest(folder: Path, entries: Iterable[Entry]) -> list[Path]:
    """Pick the file that changed last, for a workflow that compares times; none if there is none."""
    watched = filter(_can_be_watched, entries)
    last = max(watched, key=lambda entry: (entry.changed, entry.path), default=None)
    return [] if last is None else [folder / last.path]


def _can_be_watched(entry: Entry) -> bool:
    """Whether Snakemake takes it as an input: it would fill in braces, and writes names as UTF-8."""
    return not entry.reason and "{" not in entry.path and is_utf8(entry.path)


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
            if _same_content(file.path, other.path):
                reason = f"the same file as {other.original} of {part}"
                copies[file.original] = LeftOut(file.original, reason)
                break
    return copies


def on_disk(files: Iterable[MediaFile]) -> tuple[list[MediaFile], list[LeftOut]]:
    """Part files into those that exist and those that do not."""
    present, missing = [], []
    for file in files:
        if reason := unusable(file.path):
            missing.append(LeftOut(file.original, reason))
        else:
            present.append(file)
    return present, missing


def abridged(names: Sequence[str], most: int = 5) -> str:
    """Join names for a message; those beyond the first few are counted."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def without(files: list[MediaFile], left_out: Mapping[str, LeftOut]) -> list[MediaFile]:
    """Drop the files that are left out."""
    return [file for file in files if file.original not in left_out]


def _size(path: Path) -> int:
    return 0 if unusable(path) else path.stat().st_size


def _same_content(path: Path, other: Path) -> bool:
    try:
        return sha256_of(path) == sha256_of(other)
    except OSError:  # it will be left out when it is decoded
        return False
