"""Anybody's own images: an .npz file with images, labels and optionally groups; no pickles."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradmix.domains.names import NO_UTF8, check_class_names
from gradmix.domains.raw import RawImages
from gradmix.files import sha256_of

if TYPE_CHECKING:
    import numpy as np

_TOO_LARGE = 2**53  # from here on floats are not exact


def raw_files(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """List the .npz file if it exists; `load` reports a missing one, with a better message."""
    path = _path(settings, data_dir)
    return [path] if os.path.isfile(path) else []


def laid_by_hand(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """List the .npz file."""
    return [_path(settings, data_dir)]


def load(settings: Mapping[str, Any], data_dir: Path, wanted: Collection[str] | None) -> RawImages:
    """Read the arrays that the settings name.

    Settings: `file` (relative to data_dir, or absolute), and the names of the arrays in it:
    `images` (default "images"): (N,H,W), (N,H,W,1) or (N,H,W,3) uint8; `labels` (default "labels"):
    (N,) whole numbers from 0, or strings (a number is the class named by its digits); `groups` and
    `originals` (optional): (N,) whole numbers or strings.

    Raises:
        ValueError: the file or a key is missing, or an array has another shape or type; names the
            file and the key.
    """
    path = _path(settings, data_dir)
    if not os.path.isfile(path):
        raise ValueError(f"{path} does not exist (`file` is relative to data_dir, {data_dir})")
    keys = {role: settings.get(role) for role in ("images", "labels", "groups", "originals")}
    keys["images"], keys["labels"] = keys["images"] or "images", keys["labels"] or "labels"
    arrays = _read(path, {role: str(key) for role, key in keys.items() if key})
    where = {role: f"{path}, array {keys[role]!r}" for role in arrays}
    images_NHWC = _images(arrays["images"], where["images"])
    for role, array in arrays.items():
        if role != "images" and array.shape != images_NHWC.shape[:1]:
            expected = f"one value per image, shape ({len(images_NHWC)},)"
            raise ValueError(f"{where[role]}: must hold {expected}, but its shape is {array.shape}")
    strings = {
        role: _strings(arrays[role], where[role])
        for role in ("groups", "originals")
        if role in arrays
    }
    return RawImages(
        images=images_NHWC,
        class_names=_class_names(arrays["labels"], where["labels"]),
        originals=strings.get(
            "originals", [f"{path.name}/{row}" for row in range(len(images_NHWC))]
        ),
        groups=strings.get("groups"),
        sources={path.name: sha256_of(path)},
    )


def _path(settings: Mapping[str, Any], data_dir: Path) -> Path:
    if not settings.get("file"):
        raise ValueError("origin 'arrays' needs `file`: an .npz file, relative to data_dir")
    return data_dir / str(settings["file"])


def _read(path: Path, keys: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Read the named arrays, by role."""
    import numpy as np

    arrays: dict[str, np.ndarray] = {}
    where = str(path)
    try:
        with open(path, "rb") as file:
            if file.read(2) != b"PK" or not zipfile.is_zipfile(path):
                raise ValueError("not an .npz archive, or a truncated one")
        with np.load(path, allow_pickle=False) as archive:
            for role, key in keys.items():
                if archive.files.count(key) != 1:
                    names = ", ".join(map(repr, archive.files)) or "none"
                    number = "no array" if key not in archive.files else "more than one array"
                    raise ValueError(f"has {number} {key!r}; it has {names}")
                where = f"{path}, array {key!r}"
                arrays[role] = archive[key]
                # NumPy gives the bytes of anything else.
                if not isinstance(arrays[role], np.ndarray):
                    raise ValueError("is no array in NumPy's format")
                where = str(path)
            return arrays
    # NumPy and its decompressors have many exceptions for archives that are damaged, encrypted, of a method that they
    # do not know, or announce more than memory holds.
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if "Object arrays" in reason:
            reason = "objects are pickles, which are not read: store strings as a str array"
        raise ValueError(f"{where}: {reason}") from error


def _images(images: np.ndarray, where: str) -> np.ndarray:
    """Check images, and give them as (N,H,W,C)."""
    import numpy as np

    shape = images.shape
    if images.ndim == 4 and shape[-1] not in (1, 3) and shape[1] in (1, 3):
        raise ValueError(
            f"{where}: shape {shape} looks like (N,C,H,W); store (N,H,W,C), "
            "e.g. images.transpose(0, 2, 3, 1)"
        )
    if images.ndim not in (3, 4) or (images.ndim == 4 and shape[-1] not in (1, 3)):
        raise ValueError(
            f"{where}: must be (N,H,W), (N,H,W,1) or (N,H,W,3), but its shape is {shape}"
        )
    if 0 in shape:
        raise ValueError(f"{where}: holds no image, its shape is {shape}")
    if images.dtype != np.uint8:
        raise ValueError(f"{where}: must be uint8 with grey levels 0..255, but is {images.dtype}")
    return images if images.ndim == 4 else images[..., None]


def _class_names(labels_N: np.ndarray, where: str) -> np.ndarray:
    """Turn labels, strings or whole numbers from 0, into class names."""
    import numpy as np

    if labels_N.dtype.kind in "US":
        names_N = _strings(labels_N, where)
        check_class_names(np.unique(names_N).tolist(), where)
        return names_N
    if labels_N.dtype.kind not in "iuf":
        raise ValueError(
            f"{where}: labels must be whole numbers or strings, but are {labels_N.dtype}"
        )
    whole = np.isfinite(labels_N) & (labels_N == np.trunc(labels_N))
    wrong = ~(whole & (labels_N >= 0) & (labels_N < _TOO_LARGE))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{where}: labels must be whole numbers from 0 to {_TOO_LARGE - 1}, but row {row} is {labels_N[row]}"
        )
    return labels_N.astype(np.int64).astype(str)


def _strings(values_N: np.ndarray, where: str) -> np.ndarray:
    import numpy as np

    if values_N.dtype.kind not in "SUiu":
        raise ValueError(f"{where}: must be whole numbers or strings, but is {values_N.dtype}")
    if values_N.dtype.kind in "iu":
        return values_N.astype(str)
    for row in range(len(values_N)):
        try:
            value = values_N[row]
            value.decode() if isinstance(value, bytes) else value.encode()
        except (UnicodeError, SystemError):  # NumPy's for what is no character
            raise ValueError(f"{where}, row {row}: {NO_UTF8}") from None
    return np.char.decode(values_N, "utf-8") if values_N.dtype.kind == "S" else values_N
