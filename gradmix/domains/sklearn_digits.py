"""The digits embedded in scikit-learn: 1,797 handwritten digits, 8x8 grey (UCI optdigits)."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradmix.domains.raw import RawImages

if TYPE_CHECKING:
    import numpy as np

_FILE = ("datasets", "data", "digits.csv.gz")


def raw_files(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """List no file: the images are part of scikit-learn."""
    return []


def load(settings: Mapping[str, Any], data_dir: Path, wanted: Collection[str] | None) -> RawImages:
    """Read all ten digits, (1797,8,8,1) uint8; the grey levels 0..16 are spread over 0..255."""
    import numpy as np

    levels_NHW, digit_N = _levels_and_digits()
    images_NHWC = np.rint(levels_NHW * (255 / 16)).astype(np.uint8)[..., None]
    content = images_NHWC.tobytes() + digit_N.astype(np.uint8).tobytes()
    return RawImages(
        images=images_NHWC,
        class_names=digit_N.astype(str),
        originals=[f"load_digits/{row}" for row in range(len(images_NHWC))],
        sources={"sklearn.datasets.load_digits": hashlib.sha256(content).hexdigest()},
    )


def _levels_and_digits() -> tuple[np.ndarray, np.ndarray]:
    """Read (1797,8,8) float64 grey levels and (1797,) int64 digits, as `sklearn.datasets.load_digits` gives them.

    Reads scikit-learn's file where it is in its usual place: the import takes longer than all the rest.
    """
    import numpy as np

    spec = find_spec("sklearn")
    folders = (spec.submodule_search_locations if spec else None) or []
    file = next((p for f in folders if (p := Path(f, *_FILE)).is_file()), None)
    if file is None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        return digits.images, digits.target
    with gzip.open(file, "rt", encoding="ascii") as lines:
        rows = np.loadtxt(lines, delimiter=",")
    return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].astype(np.int64)
