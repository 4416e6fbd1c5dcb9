"""BU101 (Ma, Bargal, Zhang, Sigal, Sclaroff 2017): web images of UCF101's 101 actions, a folder per class.

Its folders differ from UCF101's in case and separators, so classes are matched by letters and digits alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gradmix.domains.files.folder import list_folder, tree_files, tree_folder, tree_inventory
from gradmix.domains.files.listing import Listing

_DEFAULT = "BU101"


def raw_files(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """List the newest image."""
    return tree_files(_with_folder(settings), data_dir)


def laid_by_hand(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """List the folder of images."""
    return tree_folder(_with_folder(settings), data_dir)


def inventory(settings: Mapping[str, Any], data_dir: Path) -> str:
    """Hash names and sizes of the images."""
    return tree_inventory(_with_folder(settings), data_dir)


def listing(settings: Mapping[str, Any], data_dir: Path, wanted: Collection[str] | None) -> Listing:
    """List all images of the wanted classes, under these classes' names.

    Raises:
        ValueError: the folder is missing, two folders are of one class, or a wanted class has none.
    """
    listed = list_folder("images", _with_folder(settings), data_dir, None)
    if wanted is None or not listed.files:
        return listed
    folders = sorted(
        {file.class_name for file in listed.files}
        | {item.original.partition("/")[0] for item in listed.left_out}
    )
    by_key: dict[str, str] = {}
    for folder in folders:
        other = by_key.setdefault(_key(folder), folder)
        if other != folder:
            raise ValueError(f"the folders {other} and {folder} are of one class")
    names = {by_key[_key(name)]: name for name in wanted if _key(name) in by_key}
    missing = sorted(name for name in wanted if _key(name) not in by_key)
    if missing:
        raise ValueError(
            f"no folder of class {missing[0]!r}"
            + (f" and of {len(missing) - 1} more" if len(missing) > 1 else "")
            + f"; there are {', '.join(folders[:10]) or 'none'}{', ...' if len(folders) > 10 else ''}"
        )
    # Folders of no wanted class keep their names, and are left out by them.
    files = [replace(f, class_name=names.get(f.class_name, f.class_name)) for f in listed.files]
    left_out = [x for x in listed.left_out if x.original.partition("/")[0] in names]
    return replace(listed, files=files, left_out=left_out)


def _with_folder(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {**settings, "folder": settings.get("folder") or _DEFAULT}


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
