"""The origins that a domain can come from, by name. A new origin is its module and one line here.

An origin of arrays offers

    load(settings, data_dir, wanted) -> RawImages    wanted: names of the classes that will be kept
                                                     (it may give others too)
    raw_files(settings, data_dir) -> list[Path]      existing files, laid there by hand, that
                                                     `load` will read

An origin of files (photographs or clips, decoded side by side) offers

    listing(settings, data_dir, wanted) -> Listing   the files, their classes and groups; wanted may be
                                                     None: all classes
    raw_files(settings, data_dir) -> list[Path]      lists and annotations, and the newest of the files
    inventory(settings, data_dir) -> str             hash over names and sizes of the files on disk

An origin whose files are neither generated nor downloaded offers besides

    laid_by_hand(settings, data_dir) -> list[Path]   files and folders without which nothing can be prepared

The workflow calls `raw_files_of`, `missing_files_of` and `inventory_of` while it is parsed: neither this file nor an
origin imports anything heavy at its top.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

ORIGINS: dict[str, str] = {
    "arrays": "gradmix.domains.arrays",
    "mnist": "gradmix.domains.mnist",
    "rendered_digits": "gradmix.domains.rendered_digits",
    "sklearn_digits": "gradmix.domains.sklearn_digits",
    "svhn": "gradmix.domains.svhn",
    "bu101": "gradmix.domains.files.bu101",
    "clip_folder": "gradmix.domains.files.clip_folder",
    "image_folder": "gradmix.domains.files.image_folder",
    "manifest": "gradmix.domains.files.manifest",
    "mpii": "gradmix.domains.files.mpii",
    "ucf101": "gradmix.domains.files.ucf101",
}


def origin_module(settings: Mapping[str, Any]) -> ModuleType:
    """Import the module of `settings["origin"]`.

    Raises:
        ValueError: there is no such origin; names the nearest one.
    """
    origin = str(settings.get("origin"))
    if origin not in ORIGINS:
        near = difflib.get_close_matches(origin, ORIGINS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown origin {origin!r}{hint} Known: {', '.join(ORIGINS)}")
    return importlib.import_module(ORIGINS[origin])


def raw_files_of(settings: Mapping[str, Any], data_dir: str | Path) -> list[Path]:
    """List the existing files that preparing such a domain will read, for the workflow to watch."""
    files: list[Path] = origin_module(settings).raw_files(settings, Path(data_dir))
    return files


def missing_files_of(settings: Mapping[str, Any], data_dir: str | Path) -> list[Path]:
    """List what such a domain cannot be prepared without, and is not there."""
    needed = getattr(origin_module(settings), "laid_by_hand", None)
    paths: list[Path] = needed(settings, Path(data_dir)) if needed else []
    return [path for path in paths if not path.exists()]


def is_files(origin: str) -> bool:
    """Whether an origin gives files to decode, rather than arrays."""
    return hasattr(origin_module({"origin": origin}), "listing")


def inventory_of(settings: Mapping[str, Any], data_dir: str | Path) -> str:
    """Hash the names and sizes of the files of such a domain."""
    names_and_sizes: str = origin_module(settings).inventory(settings, Path(data_dir))
    return names_and_sizes
