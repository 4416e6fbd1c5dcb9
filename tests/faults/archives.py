"""Archives of arrays that are well-formed, and yet not what they should be."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.faults.campaign import Case
from tests.faults.raw_data import CLASSES, picture, prepared, whole
from tests.faults.verdict import SURVIVED, WRONG, BadCaseError, clear


def an_archive(case: Case) -> str:
    """An .npz that is well-formed and yet not what it should be."""
    data, before = whole(case, "arrays")
    path = data.lists[0]
    images = np.stack([picture(number) for number in range(6)])
    labels = np.array([CLASSES[number % 2] for number in range(6)])
    what = case.chance.choice(list(ARCHIVES))
    case.did(what)
    made = ARCHIVES[what](images, labels)
    if isinstance(made, bytes):
        path.write_bytes(made)
    else:
        np.savez(path, **made)
    after = prepared(case, data)
    if after is None:
        return clear(case.done.pop(), [path.name])
    same = before[["label", "pixels"]].equals(after[["label", "pixels"]])
    if not same and what != "colours":
        raise BadCaseError(WRONG, f"{what}: it is taken, and gives other images")
    return SURVIVED


def _zipped(images: np.ndarray, labels: np.ndarray, compression: int, twice: bool = False) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, array in (("images", images), ("labels", labels)):
            buffer = io.BytesIO()
            np.save(buffer, array)
            archive.writestr(f"{name}.npy", buffer.getvalue())
            if twice:
                np.save(other := io.BytesIO(), array[::-1])
                import warnings

                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    archive.writestr(f"{name}.npy", other.getvalue())
    return file.getvalue()


def _encrypted(images: np.ndarray, labels: np.ndarray) -> bytes:
    content = bytearray(_zipped(images, labels, zipfile.ZIP_STORED))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(mark)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(mark, at + 1)
    return bytes(content)


def _other_method(images: np.ndarray, labels: np.ndarray) -> bytes:
    content = bytearray(_zipped(images, labels, zipfile.ZIP_STORED))
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = content.find(mark)
        while at >= 0:
            content[at + offset] = 97
            at = content.find(mark, at + 1)
    return bytes(content)


def _claims(images: np.ndarray, labels: np.ndarray) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in (("images", images), ("labels", labels)):
            np.save(buffer := io.BytesIO(), array)
            text = buffer.getvalue().replace(b"(6, 24, 32)", b"(9" + b"9" * 9 + b",)")
            archive.writestr(f"{name}.npy", text)
    return file.getvalue()


ARCHIVES: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "floats": lambda images, labels: {"images": images / 255, "labels": labels},
    "16 bits": lambda images, labels: {"images": images.astype(np.uint16) * 257, "labels": labels},
    "signed": lambda images, labels: {"images": images.astype(np.int8), "labels": labels},
    "truth values": lambda images, labels: {"images": images > 9, "labels": labels},
    "channels first": lambda i, labels: {"images": np.stack([i] * 3, 1), "labels": labels},
    "five dimensions": lambda images, labels: {"images": images[None, None], "labels": labels},
    "one image": lambda images, labels: {"images": images[0], "labels": labels},
    "fewer labels": lambda images, labels: {"images": images, "labels": labels[:5]},
    "labels of NaN": lambda images, labels: {"images": images, "labels": np.full(6, np.nan)},
    "negative labels": lambda images, labels: {"images": images, "labels": np.arange(6) - 3},
    "huge labels": lambda images, labels: {"images": images, "labels": np.arange(6) + 1e30},
    "labels as bytes": lambda images, labels: {"images": images, "labels": labels.astype("S3")},
    "labels not UTF-8": lambda images, labels: {
        "images": images,
        "labels": np.array([b"\xff"] * 6),
    },
    "labels as dates": lambda images, labels: {
        "images": images,
        "labels": np.array(["2024-01-01"] * 6, "M8[D]"),
    },
    "records": lambda images, labels: {
        "images": images,
        "labels": np.zeros(6, [("a", "i4"), ("b", "f4")]),
    },
    "no labels": lambda images, labels: {"images": images},
    "nothing": lambda images, labels: {},
    "no image": lambda images, labels: {"images": images[:0], "labels": labels[:0]},
    "no pixel": lambda images, labels: {"images": images[:, :0], "labels": labels},
    "objects": lambda images, labels: {"images": images, "labels": labels.astype(object)},
    "colours": lambda images, labels: {"images": np.stack([images] * 3, -1), "labels": labels},
    "Fortran's order": lambda images, labels: {
        "images": np.asfortranarray(images),
        "labels": labels,
    },
    "encrypted": _encrypted,
    "an unknown compression": _other_method,
    "LZMA": lambda images, labels: _zipped(images, labels, zipfile.ZIP_LZMA),
    "bzip2": lambda images, labels: _zipped(images, labels, zipfile.ZIP_BZIP2),
    "arrays twice": lambda images, labels: _zipped(images, labels, zipfile.ZIP_STORED, twice=True),
    "a huge claim": _claims,
    "an empty zip": lambda images, labels: b"PK\x05\x06" + bytes(18),
}
