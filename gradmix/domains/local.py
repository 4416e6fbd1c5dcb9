"""Files in `data_dir`: laid there by hand and found, or downloaded there whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
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


def download(folder: Path, fetch: Callable[[str], object], names: Mapping[str, str]) -> None:
    """Downloads files beside their place and moves them there whole.

    So an interrupted download is not found by the next run, and jobs that fetch the same files at
    the same time cannot read each other's halves.

    Args:
        folder: where the files will lie; made if missing.
        fetch: called with an empty folder; downloads into it and raises if that fails.
        names: path below that folder -> file name in `folder`.

    Raises:
        ValueError: what hindered the download, in one line.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as unfinished:
            fetch(unfinished)
            for fetched, name in names.items():
                os.replace(Path(unfinished) / fetched, folder / name)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"could not be downloaded ({type(error).__name__}: {reason})") from error
