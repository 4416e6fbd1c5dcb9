"""The manifest of a job that makes the files of several things: written last, so that it stands for all of them.

A workflow waits for the manifest alone. What a broken job had finished stays, because only the manifest is declared.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from gradmix.files import read_json, sha256_of, write_json


def write_manifest(path: str | os.PathLike[str], files: Iterable[str | os.PathLike[str]]) -> None:
    """Write size, time stamp and SHA-256 of every file; where one of them has changed, so has the manifest.

    Args:
        path: of the manifest.
        files: what the job made, all of it written already; kept by their way from the manifest's folder.
    """
    folder = Path(path).parent
    listed = {}
    for file in files:
        status = os.stat(file)
        listed[Path(os.path.relpath(file, folder)).as_posix()] = {
            "bytes": status.st_size,
            "mtime_ns": status.st_mtime_ns,
            "sha256": sha256_of(file),
        }
    write_json(path, {"files": listed})


def files_in(manifests: str | Iterable[str], name: str = "") -> list[str]:
    """Paths of all files that these manifests stand for, in their order.

    Args:
        manifests: one or several.
        name: of the files that are wanted, such as ``run.json``; empty: all.
    """
    return [
        os.path.normpath(os.path.join(os.path.dirname(manifest), file))
        for manifest in ([manifests] if isinstance(manifests, str) else manifests)
        for file in read_json(manifest)["files"]
        if not name or os.path.basename(file) == name
    ]


def fault(path: str | os.PathLike[str], *, content: bool = False, without: str = "") -> str | None:
    """Why a manifest stands for nothing: a file of it is missing or is another one; ``None``: it holds.

    Costs one ``stat`` a file; contents are read where the time stamp is not the one that was written down.

    Args:
        path: of the manifest.
        content: whether all contents are read.
        without: how names of files end that are left out; empty: none.
    """
    folder = os.path.dirname(path)
    try:
        with open(path, encoding="utf-8") as manifest:
            listed = json.load(manifest)["files"]
        for name, told in listed.items():
            file = os.path.join(folder, name)
            if without and name.endswith(without):
                continue
            try:
                status = os.stat(file)
            except FileNotFoundError:
                return f"{os.path.normpath(file)} is missing"
            if status.st_size != told["bytes"]:
                return (
                    f"{os.path.normpath(file)} has {status.st_size} bytes, and had {told['bytes']}"
                )
            # Packs cut otherwise write the same files: those of another pack may be as large.
            suspect = content or status.st_mtime_ns != told["mtime_ns"]
            if suspect and sha256_of(file) != told["sha256"]:
                return f"{os.path.normpath(file)} has other content"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{path} cannot be read ({error})"
    return None
