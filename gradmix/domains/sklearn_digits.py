"""The digits embedded in scikit-learn: 1,797 handwritten digits, 8x8 grey (UCI optdigits)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from gradmix.domains.raw import RawImages


def raw_files(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """None: the images are part of scikit-learn."""
    return []


def load(settings: Mapping[str, Any], data_dir: Path, wanted: Collection[str] | None) -> RawImages:
    """All ten digits, (1797,8,8,1) uint8; the grey levels 0..16 are spread over 0..255."""
    import numpy as np
    from sklearn.datasets import load_digits

    digits = load_digits()
    images_NHWC = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    content = images_NHWC.tobytes() + digits.target.astype(np.uint8).tobytes()
    return RawImages(
        images=images_NHWC,
        class_names=digits.target.astype(str),
        originals=[f"load_digits/{row}" for row in range(len(images_NHWC))],
        sources={"sklearn.datasets.load_digits": hashlib.sha256(content).hexdigest()},
    )
