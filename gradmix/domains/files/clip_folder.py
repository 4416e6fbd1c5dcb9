"""Anybody's own clips: a folder with a folder of clips per class."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from gradmix.domains.files.folder import list_folder, tree_files, tree_folder, tree_inventory
from gradmix.domains.files.listing import Listing

raw_files = tree_files
laid_by_hand = tree_folder
inventory = tree_inventory


def listing(settings: Mapping[str, Any], data_dir: Path, wanted: Collection[str] | None) -> Listing:
    """List all clips below `folder` (see `gradmix.domains.files.folder.list_folder`)."""
    return list_folder("clips", settings, data_dir, wanted)
