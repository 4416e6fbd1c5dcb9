"""Brings a photograph or a frame to the size of a domain's images, averaging over pixels where it shrinks."""

from __future__ import annotations

import math
from types import ModuleType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

Fit = Literal["cover", "stretch"]
# An image that enlarging would make so many times larger than itself, than what is shown of it and than a million
# pixels is cut before. Others are cut afterwards, because rounding differs.
_LARGE = 16


def fit(image_HWC: np.ndarray, height: int, width: int, how: Fit) -> np.ndarray:
    """Bring one image to another size, (height, width, 3) uint8.

    Args:
        image_HWC: (H,W,3) uint8.
        height: in pixels.
        width: in pixels.
        how: "cover" keeps the proportions and cuts out the centre (short side to short side, where
            height and width are equal); "stretch" does not.
    """
    cv2 = opencv()
    rows, columns = image_HWC.shape[:2]
    if how == "stretch":
        scaled = (width, height)
    else:
        factor = max(height / rows, width / columns)
        if factor**2 * rows * columns > _LARGE * max(rows * columns, height * width, 2**20):
            seen = (math.ceil(height / factor) + 2, math.ceil(width / factor) + 2)
            image_HWC = _centre(image_HWC, *seen, whole_pixels=True)
            rows, columns = image_HWC.shape[:2]
        scaled = (max(width, round(columns * factor)), max(height, round(rows * factor)))
    if scaled != (columns, rows):
        shrinks = scaled[0] < columns
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        image_HWC = cv2.resize(image_HWC, scaled, interpolation=method)
    return _centre(image_HWC, height, width)


def _centre(
    image_HWC: np.ndarray, height: int, width: int, *, whole_pixels: bool = False
) -> np.ndarray:
    """Cut out the centre; with `whole_pixels` one row or column more, where it would else be off by half a pixel."""
    rows, columns = image_HWC.shape[:2]
    if whole_pixels:
        height, width = height + (rows - height) % 2, width + (columns - width) % 2
    top, left = max(0, (rows - height) // 2), max(0, (columns - width) // 2)
    return image_HWC[top : top + height, left : left + width]


def opencv() -> ModuleType:
    """Import OpenCV, on one thread: files are decoded side by side in processes.

    Set before there is a process to fork: a fork has no threads of a pool, and would wait for them for ever.
    """
    import cv2

    if cv2.getNumThreads() != 1:
        cv2.setNumThreads(1)
    return cv2
