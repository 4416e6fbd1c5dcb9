"""Finds files that the user laid into `data_dir`, or says where they were looked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def find_local(data_dir: Path, folders: Sequence[str], names: Sequence[str]) -> Path | None:
    """The first of `names` in the first of `folders` (below `data_dir`) that has one, or None."""
    for folder in folders:
        for name in names:
            path = data_dir / folder / name
            if path.is_file():
                return path
    return None


def looked_for(data_dir: Path, folders: Sequence[str], names: Sequence[str]) -> str:
    """A sentence for error messages: which names were looked for, and where."""
    places = ", ".join(str(data_dir / folder) for folder in folders)
    return f"looked for {' or '.join(names)} in {places}"
