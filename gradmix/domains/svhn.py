"""SVHN's cropped digits: .mat files in data_dir are verified; else they are downloaded.

Netzer, Wang, Coates, Bissacco, Wu, Ng: Reading Digits in Natural Images with Unsupervised Feature
Learning, 2011; the authors ask for non-commercial use only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradmix.domains.local import download, find_local, looked_for
from gradmix.domains.raw import RawImages
from gradmix.files import sha256_of

if TYPE_CHECKING:
    import numpy as np

# MD5 of the .mat file and number of images, by split; the sums are those of
# torchvision.datasets.SVHN.split_list.
SPLITS: dict[str, tuple[str, int]] = {
    "train": ("e26dedcc434d2e4c54c9b2d4a06d8373", 73257),
    "test": ("eb5a983be6a315427106f1b164d9cef3", 26032),
    "extra": ("a93ce644f1a588dc4d68dda5feec44a7", 531131),
}
FOLDERS = ("svhn", "SVHN", ".")
# Apart from the folders above: a download must not turn up as a new input of the workflow when it
# is run again.
DOWNLOADS = "downloads/svhn"
URL = "http://ufldl.stanford.edu/housenumbers/"


def raw_files(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """List the split's .mat file in data_dir; none that will be, or was, downloaded."""
    path = find_local(data_dir, FOLDERS, [_name(settings)])
    return [path] if path is not None else []


def load(settings: Mapping[str, Any], data_dir: Path, wanted: Collection[str] | None) -> RawImages:
    """Read all images of `split`, (N,32,32,3) uint8 RGB; the official label 10 is the digit 0.

    Raises:
        ValueError: the file is damaged, another one or misnamed; or it is missing and cannot be
            downloaded.
    """
    name, split = _name(settings), str(settings["split"])
    path = find_local(data_dir, (*FOLDERS, DOWNLOADS), [name])
    if path is None:
        _download(split, data_dir)
        path = data_dir / DOWNLOADS / name
    _verify(path, split)
    images_NHWC, labels_N = _read(path)
    return RawImages(
        images=images_NHWC,
        class_names=(labels_N % 10).astype(str),
        originals=[f"{name}/{row}" for row in range(len(labels_N))],
        sources={name: sha256_of(path)},
        notes=[
            "crops of one house number overlap; the file does not say which crops belong together"
        ],
    )


def _name(settings: Mapping[str, Any]) -> str:
    split = settings.get("split")
    if split not in SPLITS:
        raise ValueError(f"origin 'svhn' needs `split`: {', '.join(SPLITS)}, but got {split!r}")
    return f"{split}_32x32.mat"


def _verify(path: Path, split: str) -> None:
    with open(path, "rb") as file:
        actual_md5 = hashlib.file_digest(
            file, lambda: hashlib.md5(usedforsecurity=False)
        ).hexdigest()
    if actual_md5 == SPLITS[split][0]:
        return
    for other, (md5, _) in SPLITS.items():
        if actual_md5 == md5:
            raise ValueError(
                f"{path}: holds the content of {other}_32x32.mat; it seems to be misnamed"
            )
    raise ValueError(
        f"{path}: corrupt, truncated or not the official file ({path.stat().st_size} bytes, "
        f"MD5 {actual_md5}, expected {SPLITS[split][0]}); get it again from {URL}{path.name}"
    )


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read images (N,H,W,C), a view (the file has the image as last axis), and labels 1..10."""
    import numpy as np
    from scipy.io import loadmat

    content = loadmat(path, variable_names=["X", "y"])
    images_NHWC = np.moveaxis(content["X"], 3, 0)
    return images_NHWC, content["y"].reshape(-1).astype(np.int64)


def _download(split: str, data_dir: Path) -> None:
    """Let torchvision fetch the file, with its checksum."""
    name = f"{split}_32x32.mat"

    def fetch(folder: str) -> None:
        from torchvision.datasets.utils import download_url

        download_url(URL + name, folder, md5=SPLITS[split][0])

    download(
        data_dir / DOWNLOADS,
        fetch,
        {name: name},
        what="SVHN is",
        by_hand=f"By hand: get {URL}{name} and lay it into {data_dir / FOLDERS[0]}. "
        f"Now {looked_for(data_dir, (*FOLDERS, DOWNLOADS), [name])}.",
    )
