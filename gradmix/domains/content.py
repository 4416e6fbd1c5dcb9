"""Content hashes of images, which tell duplicates."""

from __future__ import annotations

import hashlib

import numpy as np


def content_hashes(images_NHWC: np.ndarray) -> list[str]:
    """Hash every image's shape and bytes, 16-byte BLAKE2b as hex; equal = the same picture.

    An RGB image whose three channels are equal has the hash of the grey image, because grey images
    are repeated over the channels before the network sees them; so a grey copy and a colour copy of
    one picture are duplicates.
    """
    _, height, width, channels = images_NHWC.shape
    images_NHWC = np.ascontiguousarray(images_NHWC)
    prefix = f"{height}x{width}x{channels}:".encode()
    hashes = [
        hashlib.blake2b(prefix + image.tobytes(), digest_size=16).hexdigest()
        for image in images_NHWC
    ]
    if channels == 3:
        grey_N = (images_NHWC == images_NHWC[..., :1]).all(axis=(1, 2, 3))
        for row in np.flatnonzero(grey_N):
            hashes[row] = content_hashes(images_NHWC[row : row + 1, ..., :1])[0]
    return hashes
