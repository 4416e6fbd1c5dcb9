"""The on-disk format of a domain: images.npy, index.parquet and, written last, domain.json.

images.npy     (N,H,W,C) uint8, C = 1 or 3, opened memory-mapped
index.parquet  a row per image: label int64; class_name, group, clip, original, content: strings,
               "" = none; of perturbed domains also image_changed (0 or 1) and true_label: int64.
               content is that of the image before it was changed
domain.json    name, origin, label space, classes, counts and hashes, its own among them; marks a whole
               domain, and images.npy is given its time stamp: where they differ, the images are hashed again
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradmix.domains.content import content_hashes
from gradmix.files import (
    atomic_path,
    check_sha256,
    read_columns,
    read_json,
    remove_unfinished,
    sha256_of,
    sha256_of_json,
    write_columns,
    write_json,
)

if TYPE_CHECKING:
    import pandas as pd

IMAGES = "images.npy"
INDEX = "index.parquet"
INFO = "domain.json"
COLUMNS = ("label", "class_name", "group", "clip", "original", "content")
PERTURBED_COLUMNS = ("image_changed", "true_label")
_HASHES = ("sha256", "index_sha256", "record_sha256")
_INFO_KEYS = ("name", "origin", "label_space", "classes", "count", "shape", *_HASHES)
_CHUNK = 1024

# (n,H,W,C) uint8, maybe with the n content hashes that stand for them.
Chunk = np.ndarray | tuple[np.ndarray, Sequence[str]]


@dataclass(frozen=True)
class Domain:
    """An opened domain: N images on disk with their labels in memory.

    Attributes:
        folder: where it lies.
        images: (N,H,W,C) uint8, memory-mapped and read-only; C is 1 (grey) or 3 (RGB).
        labels: (N,) int64, positions in `classes`.
        info: the content of domain.json.
    """

    folder: Path
    images: np.ndarray
    labels: np.ndarray
    info: dict[str, Any]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def name(self) -> str:
        """The domain's name in the configuration."""
        return str(self.info["name"])

    @property
    def label_space(self) -> str:
        """The name of the label space that the labels belong to."""
        return str(self.info["label_space"])

    @property
    def classes(self) -> list[str]:
        """Class names in the order of the labels."""
        return list(self.info["classes"])

    @cached_property
    def index(self) -> pd.DataFrame:
        """A row per image (columns: COLUMNS); read at the first use."""
        import pandas as pd

        path = self.folder / INDEX
        try:
            return pd.read_parquet(path, engine="pyarrow", columns=list(COLUMNS))
        except Exception as error:
            raise ValueError(f"{path}: not a readable index ({error})") from error

    def column(self, name: str) -> np.ndarray:
        """(N,) a column of the index, strings as objects; read at the first use, alone and without pandas."""
        if "index" in self.__dict__:
            return self.index[name].to_numpy()
        columns: dict[str, np.ndarray] = self.__dict__.setdefault("_columns", {})
        if name not in columns:
            try:
                columns[name] = read_columns(self.folder / INDEX, [name])[name]
            except Exception as error:
                raise ValueError(
                    f"{self.folder / INDEX}: not a readable index ({error})"
                ) from error
        return columns[name]


def write_domain(
    folder: str | Path,
    images: np.ndarray | Iterable[np.ndarray],
    index: pd.DataFrame,
    info: Mapping[str, Any],
) -> None:
    """Write a domain; domain.json comes last, so that a part is never taken for a whole one.

    Args:
        folder: made if missing. An older domain there is replaced.
        images: (N,H,W,C) uint8, or chunks (n,H,W,C) of it; one chunk at a time is held in memory.
        index: N rows with the columns label, class_name, group, clip, original ("content" is
            computed here).
        info: name, origin, label_space, classes and anything else that JSON can hold (sources,
            code, notes, ...); count, shape, hashes and per_class are computed here.

    Raises:
        ValueError: images and index do not fit each other or the format.
        OSError: the disk is full, or the like; the folder then holds no domain.json.
    """
    _check_index(index, info)
    chunks: Iterable[np.ndarray] = images
    if isinstance(images, np.ndarray):
        chunks = (images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK))
    stream_domain(folder, chunks, lambda: (index, info))


def stream_domain(
    folder: str | Path,
    chunks: Iterable[Chunk],
    described: Callable[[], tuple[pd.DataFrame, Mapping[str, Any]]],
) -> None:
    """Write a domain with a number of images that is not known beforehand.

    Args:
        folder: as in `write_domain`.
        chunks: (n,H,W,C) uint8, or pairs of it and its images' content, where that is not to be
            computed here; one at a time is held in memory.
        described: called when all chunks are written; gives index and info as in `write_domain`.

    Raises:
        ValueError, OSError: as in `write_domain`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INFO).unlink(missing_ok=True)
    remove_unfinished(folder)
    with atomic_path(folder / IMAGES) as temporary:
        shape, content = _write_images(temporary, chunks)
        index, info = described()
        _check_index(index, info)
        if len(content) != len(index):
            raise ValueError(f"{len(content)} images, but {len(index)} rows in the index")
        sha256 = sha256_of(temporary)
    classes, labels_N = list(info["classes"]), index["label"].to_numpy()
    columns: dict[str, Any] = {"label": labels_N.astype(np.int64)}
    columns |= {column: index[column].astype(str).to_numpy(object) for column in COLUMNS[1:-1]}
    columns |= {"content": content}
    columns |= {key: index[key].to_numpy(np.int64) for key in PERTURBED_COLUMNS if key in index}
    write_columns(folder / INDEX, columns)
    counts = np.bincount(labels_N, minlength=len(classes))
    computed = {"count": len(index), "shape": list(shape), "sha256": sha256}
    # Labels are in the index alone; with its hash here, this file stands for the whole domain.
    computed["index_sha256"] = sha256_of(folder / INDEX)
    computed["per_class"] = dict(zip(classes, counts.tolist(), strict=True))
    record = dict(info) | computed
    write_json(folder / INFO, record | {"record_sha256": _record_sha256(record)})
    _stamp(folder)


def open_domain(folder: str | Path, *, check_content: bool = False) -> Domain:
    """Open a domain, its images memory-mapped, after checking that its three files agree.

    The SHA-256 of domain.json and index.parquet is always compared; that of images.npy, of which the whole file
    is read, where its time stamp is not that of domain.json: something wrote into it, or it was copied.

    Args:
        folder: the folder of the domain.
        check_content: compare that of images.npy in any case.

    Raises:
        ValueError: names the file that is missing, half-written, truncated, corrupt or of another
            domain.
    """
    folder = Path(folder)
    info = _read_info(folder)
    images = _open_images(folder / IMAGES, [info["count"], *info["shape"]])
    labels = _read_labels(folder / INDEX, info)
    if _record_sha256(info) != info["record_sha256"]:
        raise ValueError(
            f"{folder / INFO}: was changed after it was written (SHA-256 differs); "
            "delete it and start again, and the domain is prepared anew"
        )
    check_sha256(folder / INDEX, info["index_sha256"], INFO)
    same_time = _mtime(folder / IMAGES) == _mtime(folder / INFO)
    if check_content or not same_time:
        check_sha256(folder / IMAGES, info["sha256"], INFO)
    if not same_time:
        with suppress(OSError):  # in somebody else's folder they are hashed every time
            _stamp(folder)
    return Domain(folder, images, labels, info)


def _record_sha256(info: Mapping[str, Any]) -> str:
    return sha256_of_json({key: info[key] for key in info if key != "record_sha256"})


def _mtime(path: Path) -> int:
    return path.stat().st_mtime_ns


def _stamp(folder: Path) -> None:
    """Give images.npy the time stamp of domain.json."""
    os.utime(folder / IMAGES, ns=(_mtime(folder / INFO),) * 2)


def _check_index(index: pd.DataFrame, info: Mapping[str, Any]) -> None:
    labels_N, classes = index["label"].to_numpy(), info["classes"]
    if len(index) == 0:
        raise ValueError(f"domain {info['name']!r} is empty: it has no image")
    if labels_N.min() < 0 or labels_N.max() >= len(classes):
        raise ValueError(f"domain {info['name']!r}: labels must lie in 0..{len(classes) - 1}")


def _write_images(path: Path, chunks: Iterable[Chunk]) -> tuple[Sequence[int], list[str]]:
    """Stream chunks into an .npy file; give the shape of an image, and a content hash of each."""
    shape: tuple[int, ...] = ()
    content: list[str] = []
    with open(path, "wb") as file:
        for given in chunks:
            chunk, known = given if isinstance(given, tuple) else (given, None)
            if chunk.dtype != np.uint8 or chunk.ndim != 4 or chunk.shape[-1] not in (1, 3):
                raise ValueError(
                    "images must be (N,H,W,C) uint8 with C = 1 or 3, "
                    f"but got {chunk.shape} {chunk.dtype}"
                )
            if not shape:
                shape = chunk.shape[1:]
                file.write(_header((0, *shape)))
            elif chunk.shape[1:] != shape:
                raise ValueError(
                    f"all images of a domain have one shape, but got {shape} and {chunk.shape[1:]}"
                )
            data = np.ascontiguousarray(chunk)
            content += content_hashes(data) if known is None else known
            file.write(data.data)
        if shape:
            file.seek(0)
            file.write(_header((len(content), *shape)))
    return shape, content


def _header(shape: tuple[int, ...]) -> bytes:
    """Make an .npy header; its length does not depend on the first number, for which NumPy leaves room."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue()


def _read_info(folder: Path) -> dict[str, Any]:
    path = folder / INFO
    if not path.is_file():
        begun = [name for name in (IMAGES, INDEX) if (folder / name).exists()]
        state = f"only {' and '.join(begun)}: its writing was broken off" if begun else "no domain"
        raise ValueError(f"{path} is missing; {folder} holds {state}. Prepare the domain again.")
    info = read_json(path)
    known = info if isinstance(info, dict) else {}
    if missing := [key for key in _INFO_KEYS if key not in known]:
        raise ValueError(f"{path}: lacks {', '.join(missing)}. Prepare the domain again.")
    return known


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Name the file where reading it fails."""
    try:
        yield
    except FileNotFoundError as error:
        raise ValueError(
            f"{path} is missing, though {INFO} announces it. Prepare the domain again."
        ) from error
    except Exception as error:
        raise ValueError(
            f"{path}: truncated or corrupt ({error}). Prepare the domain again."
        ) from error


def _open_images(path: Path, expected: list[int]) -> np.ndarray:
    with _readable(path):
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    if images.dtype != np.uint8 or list(images.shape) != expected or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"{path}: holds {images.shape} {images.dtype}, "
            f"but {INFO} announces {tuple(expected)} uint8"
        )
    # numpy maps a file that is longer than its header says without a word.
    surplus = path.stat().st_size - images.offset - images.nbytes
    if surplus:
        raise ValueError(
            f"{path}: {surplus} bytes longer than its header announces. Prepare the domain again."
        )
    return images


def _read_labels(path: Path, info: Mapping[str, Any]) -> np.ndarray:
    import pyarrow.parquet as parquet

    with _readable(path), parquet.ParquetFile(path) as file:
        missing = [column for column in COLUMNS if column not in file.schema_arrow.names]
    if missing:
        raise ValueError(f"{path}: lacks the columns {', '.join(missing)}")
    with _readable(path):
        labels = read_columns(path, ["label"])["label"]
    if len(labels) != info["count"]:
        raise ValueError(
            f"{path}: has {len(labels)} rows, but {INFO} announces {info['count']} images"
        )
    if labels.dtype != np.int64 or labels.min() < 0 or labels.max() >= len(info["classes"]):
        raise ValueError(f"{path}: labels must be whole numbers in 0..{len(info['classes']) - 1}")
    return labels
