"""Brings a photograph or a frame to the size of a domain's images, averaging over pixels where it shrinks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

Fit = Literal["cover", "stretch"]


def fit(image_HWC: np.ndarray, height: int, width: int, how: Fit) -> np.ndarray:
    """Bring one image to another size, (height, width, 3) uint8.

    Args:
        image_HWC: (H,W,3) uint8.
        height: in pixels.
        width: in pixels.
        how: "cover" keeps the proportions and cuts out the centre (short side to short side, where
            height and width are equal); "stretch" does not.
    """
    import cv2

    rows, columns = image_HWC.shape[:2]
    if how == "stretch":
        scaled = (width, height)
    else:
        factor = max(height / rows, width / columns)
        scaled = (max(width, round(columns * factor)), max(height, round(rows * factor)))
    if scaled != (columns, rows):
        shrinks = scaled[0] < columns
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        image_HWC = cv2.resize(image_HWC, scaled, interpolation=method)
    top, left = (image_HWC.shape[0] - height) // 2, (image_HWC.shape[1] - width) // 2
    return image_HWC[top : top + height, left : left + width]
