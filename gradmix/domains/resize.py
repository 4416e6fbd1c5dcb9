"""Resizes images bilinearly with NumPy alone, as PyTorch's `interpolate` does."""

from __future__ import annotations

import numpy as np


def resize_bilinear(images_NHWC: np.ndarray, height: int, width: int) -> np.ndarray:
    """Images of another size: (N,H,W,C) uint8 -> (N,height,width,C) uint8, rounded half to even.

    Only elementwise float32 operations, so the result is the same on every machine. The convention
    is align_corners=False without antialiasing: shrinking does not smooth first (as in
    `torch.nn.functional.interpolate(..., mode="bilinear")`); enlarging also agrees with Pillow's
    BILINEAR.
    """
    if images_NHWC.shape[1:3] == (height, width):
        return images_NHWC
    # The rows are resized on bytes gathered per output row, so that the larger float array is made
    # only once.
    low_H, high_H, share_H = _neighbours(images_NHWC.shape[1], height)
    rows = _blend(images_NHWC[:, low_H], images_NHWC[:, high_H], share_H[None, :, None, None])
    low_W, high_W, share_W = _neighbours(images_NHWC.shape[2], width)
    out = _blend(rows[:, :, low_W], rows[:, :, high_W], share_W[None, None, :, None])
    return np.rint(out, out=out).astype(np.uint8)


def _neighbours(size_in: int, size_out: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two input positions around each output position, and the share of the second."""
    centre = np.maximum((np.arange(size_out) + 0.5) * (size_in / size_out) - 0.5, 0.0)
    low = np.minimum(centre.astype(np.int64), size_in - 1)
    return low, np.minimum(low + 1, size_in - 1), (centre - low).astype(np.float32)


def _blend(low: np.ndarray, high: np.ndarray, share: np.ndarray) -> np.ndarray:
    low = low.astype(np.float32)
    out = high.astype(np.float32)
    out -= low
    out *= share
    out += low
    return out
