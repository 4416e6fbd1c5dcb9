"""The origins that a domain can come from, by name. A new origin is its module and one line here.

An origin module offers

    load(settings, data_dir, wanted) -> RawImages    wanted: names of the classes that will be kept
                                                     (it may give others too)
    raw_files(settings, data_dir) -> list[Path]      existing files, laid there by hand, that
                                                     `load` will read

The workflow calls `raw_files_of` while it is parsed: neither this file nor an origin imports
anything heavy at its top.
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
}


def origin_module(settings: Mapping[str, Any]) -> ModuleType:
    """The module of `settings["origin"]`.

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
    """The existing files that preparing such a domain will read, for the workflow to watch."""
    files: list[Path] = origin_module(settings).raw_files(settings, Path(data_dir))
    return files
