"""The manifest of a job that makes the files of several things: written last, so that it stands for all of them.

A workflow waits for the manifest alone. What a broken job had finished stays, because only the manifest is declared.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from gradmix.files import sha256_of, write_json


def write_manifest(path: str | os.PathLike[str], files: Iterable[str | os.PathLike[str]]) -> None:
    """Write size and SHA-256 of every file; where one of them has changed, so has the manifest.

    Args:
        path: of the manifest.
        files: what the job made, all of it written already; kept by their way from the manifest's folder.
    """
    folder = Path(path).parent
    listed = {
        Path(os.path.relpath(file, folder)).as_posix(): {
            "bytes": os.stat(file).st_size,
            "sha256": sha256_of(file),
        }
        for file in files
    }
    write_json(path, {"files": listed})


def fault(path: str | os.PathLike[str]) -> str | None:
    """Why a manifest stands for nothing: a file of it is missing or has another size; ``None``: it holds.

    Costs one ``stat`` a file; contents are not read.
    """
    folder = os.path.dirname(path)
    try:
        with open(path, encoding="utf-8") as manifest:
            listed = json.load(manifest)["files"]
        for name, told in listed.items():
            file = os.path.join(folder, name)
            try:
                size = os.stat(file).st_size
            except FileNotFoundError:
                return f"{os.path.normpath(file)} is missing"
            if size != told["bytes"]:
                return f"{os.path.normpath(file)} has {size} bytes, and had {told['bytes']}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{path} cannot be read ({error})"
    return None
