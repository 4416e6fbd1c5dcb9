"""The list that an origin of files gives: which files, of which class and group, before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["images", "clips"]


@dataclass(frozen=True)
class MediaFile:
    """An image or a clip on disk.

    Attributes:
        path: where it lies.
        class_name: the origin's own name of its class.
        original: its name in index and messages: the path below the origin's folder, with `/`.
        group: files of one group are never parted by a split; "" = no group.
    """

    path: Path
    class_name: str
    original: str
    group: str = ""


@dataclass(frozen=True)
class LeftOut:
    """A file that cannot be used, and why, in half a sentence: "not on disk", "no frame decodes"."""

    original: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """The files of one domain, in an order that does not depend on the machine.

    Attributes:
        kind: images (a row per file) or clips (a row per frame).
        files: the files to decode.
        left_out: files that should have been there and cannot be used.
        sources: SHA-256 of the lists and annotations that were read, by file name.
        notes: sentences for domain.json.
    """

    kind: Kind
    files: list[MediaFile]
    left_out: list[LeftOut] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
