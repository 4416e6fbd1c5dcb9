"""UCF101's official lists with a tree of empty files in place of the clips."""

import os
import shutil
from pathlib import Path

import pytest

LISTS = "ucf101/ucfTrainTestlist"


def make_tree(root: Path) -> Path:
    """Lists and empty clips below ``root``, as they are downloaded; skips where the lists are missing.

    Of the other domains of ``config/actions.yaml`` the folders are there, and an empty file of MPII's annotations.
    """
    lists = Path(os.environ.get("GRADMIX_DATA_DIR") or "/nowhere") / LISTS
    if not lists.is_dir():
        pytest.skip("the official lists are not in GRADMIX_DATA_DIR")
    shutil.copytree(lists, root / "ucfTrainTestlist")
    for part in ("train", "test"):
        for line in (lists / f"{part}list01.txt").read_text().splitlines():
            path = root / "UCF-101" / line.split()[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    for folder in ("BU101", "mpii/images"):
        (root / folder).mkdir(parents=True)
    (root / "mpii/mpii_human_pose_v1_u12_1.mat").touch()
    return root
