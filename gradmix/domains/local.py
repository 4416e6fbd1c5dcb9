"""Files in `data_dir`: put there by hand, or downloaded whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def find_local(data_dir: Path, folders: Sequence[str], names: Sequence[str]) -> Path | None:
    """Look up the first of `names` in the first of `folders` (below `data_dir`) that has one; else None."""
    paths = (data_dir / folder / name for folder in folders for name in names)
    return next((path for path in paths if os.path.isfile(path)), None)


def looked_for(data_dir: Path, folders: Sequence[str], names: Sequence[str]) -> str:
    """Say, for error messages, which names were looked for, and where."""
    places = ", ".join(str(data_dir / folder) for folder in folders)
    return f"looked for {' or '.join(names)} in {places}"


def download(
    folder: Path,
    fetch: Callable[[str], object],
    names: Mapping[str, str],
    *,
    what: str,
    by_hand: str,
) -> None:
    """Downloads files beside their place and moves them there whole.

    So the next run does not take an interrupted download for a whole one, and jobs that fetch the
    same files at the same time cannot read each other's halves.

    Args:
        folder: where the files will lie; made if missing.
        fetch: called with an empty folder; downloads into it and raises if that fails.
        names: path below that folder -> file name in `folder`.
        what: for messages: what is missing, with its verb ("MNIST is").
        by_hand: for messages: sentences that say how to do without the download.

    Raises:
        ValueError: why the download failed, in one line, and what to do.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as unfinished:
            fetch(unfinished)
            for fetched, name in names.items():
                os.replace(Path(unfinished) / fetched, folder / name)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{what} not in data_dir and could not be downloaded "
            f"({type(error).__name__}: {reason}). {by_hand}"
        ) from error
