"""MNIST: files in data_dir are verified by content; else they are downloaded.

The MD5 sums are of the uncompressed idx files. The .gz files that they were taken from had the sums
in `torchvision.datasets.MNIST.resources`; those sums themselves are of no use here, because a .gz
that was packed again differs in its header while every pixel is right.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from gradmix.domains.local import download, find_local, looked_for
from gradmix.domains.raw import RawImages

# File name without .gz: (MD5 of the content, shape).
FILES: dict[str, tuple[str, tuple[int, ...]]] = {
    "train-images-idx3-ubyte": ("6bbc9ace898e44ae57da46a324031adb", (60000, 28, 28)),
    "train-labels-idx1-ubyte": ("a25bea736e30d166cdddb491f175f624", (60000,)),
    "t10k-images-idx3-ubyte": ("2646ac647ad5339dbf082846283269ea", (10000, 28, 28)),
    "t10k-labels-idx1-ubyte": ("27ae3e4e09519cfbb04c329615203637", (10000,)),
}
SPLITS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
FOLDERS = ("mnist", "MNIST/raw", ".")
# Apart from the folders above: a download must not turn up as a new input of the workflow when it
# is run again.
DOWNLOADS = "downloads/mnist"
URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"


def raw_files(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """List the split's files in data_dir; none that will be, or was, downloaded."""
    paths = [find_local(data_dir, FOLDERS, _names(stem)) for stem in _stems(settings)]
    return [path for path in paths if path is not None]


def load(settings: Mapping[str, Any], data_dir: Path, wanted: Collection[str] | None) -> RawImages:
    """Read all images of `split` (train: 60,000, test: 10,000), (N,28,28,1) uint8, ink bright on dark.

    Raises:
        ValueError: a file is damaged, another one or misnamed; or it is missing and cannot be
            downloaded.
    """
    import numpy as np

    stems = _stems(settings)
    folders = (*FOLDERS, DOWNLOADS)
    if any(find_local(data_dir, folders, _names(stem)) is None for stem in stems):
        _download(data_dir)
    contents = []
    for stem in stems:
        path = find_local(data_dir, folders, _names(stem))
        assert path is not None
        contents.append(verified_content(path, stem))
    images_NHW, labels_N = (
        np.frombuffer(content, np.uint8, offset=4 + 4 * len(FILES[stem][1])).reshape(FILES[stem][1])
        for stem, content in zip(stems, contents, strict=True)
    )
    return RawImages(
        images=images_NHW[..., None],
        class_names=labels_N.astype(str),
        originals=[f"{stems[0]}/{row}" for row in range(len(labels_N))],
        sources={
            stem: hashlib.sha256(content).hexdigest()
            for stem, content in zip(stems, contents, strict=True)
        },
    )


def verified_content(path: Path, stem: str) -> bytes:
    """Read the uncompressed content of `path`, which must be MNIST's file `stem`.

    Raises:
        ValueError: names the file and what is wrong: a damaged gzip, a truncated file, another file
            of MNIST, or something else.
    """
    md5, shape = FILES[stem]
    header = (
        b"\x00\x00\x08" + bytes([len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    )
    whole = len(header) + math.prod(shape)
    with open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            # A byte more than it may have tells that it is too long, however long it is.
            content = (gzip.GzipFile(fileobj=raw) if packed else raw).read(whole + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(
                f"{path}: corrupt or truncated gzip ({error}); get the file again"
            ) from error
    actual_md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if actual_md5 == md5:
        return content
    for other, (other_md5, _) in FILES.items():
        if actual_md5 == other_md5:
            raise ValueError(
                f"{path}: holds the content of {other}, not of {stem}; it seems to be misnamed"
            )
    if content[: len(header)] == header and len(content) != whole:
        state = f"truncated: {len(content)} of" if len(content) < whole else "too long: more than"
        raise ValueError(f"{path}: {state} {whole} bytes; get the file again")
    if content[:3] != b"\x00\x00\x08":
        page = " (a web page was saved in its place)" if content.lstrip()[:1] == b"<" else ""
        raise ValueError(f"{path}: neither gzip nor an idx file of bytes{page}; get the file again")
    raise ValueError(
        f"{path}: not the original {stem}: the MD5 of its uncompressed content is {actual_md5}, "
        f"expected {md5}"
    )


def _stems(settings: Mapping[str, Any]) -> tuple[str, str]:
    split = settings.get("split")
    if split not in SPLITS:
        raise ValueError(f"origin 'mnist' needs `split`: train or test, but got {split!r}")
    return SPLITS[split]


def _names(stem: str) -> tuple[str, ...]:
    """Accepted names: unpacked, packed, and with the dot that some copies have for a hyphen."""
    dotted = stem.replace("-idx", ".idx")
    return (stem, f"{stem}.gz", dotted, f"{dotted}.gz")


def _download(data_dir: Path) -> None:
    """Let torchvision fetch all four files from its mirrors, with its checksums."""

    def fetch(folder: str) -> None:
        from torchvision.datasets import MNIST

        MNIST(folder, download=True)

    download(
        data_dir / DOWNLOADS,
        fetch,
        {f"MNIST/raw/{stem}.gz": f"{stem}.gz" for stem in FILES},
        what="MNIST is",
        by_hand=f"By hand: get {', '.join(f'{stem}.gz' for stem in FILES)}, for instance from {URL}, "
        f"and lay them, packed or unpacked, into {data_dir / FOLDERS[0]}. "
        f"Now {looked_for(data_dir, (*FOLDERS, DOWNLOADS), ['these names'])}.",
    )
