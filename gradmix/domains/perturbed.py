"""Changes a part of a domain's images and labels on purpose: a source of known distance from the target.

Each change follows from the seed and from the content of the unchanged image alone. So a larger share changes the
images of a smaller one, too, and neither order nor other images matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradmix.seeds import derive_seed

NOISE = 50.0  # grey levels, standard deviation
SPECKLED = 0.1  # share of the pixels


def perturbed_images(
    images_NHWC: np.ndarray, content: Sequence[str], settings: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Change a share of the images.

    Args:
        images_NHWC: (N,H,W,C) uint8; not changed in place.
        content: (N,) their content hashes.
        settings: `seed`, and `images`: `share`, the probability of a change, and `kind`: `noise`, normal noise on
            every pixel and channel, or `any`, one of rotation, salt-and-pepper noise and the two flips.

    Returns:
        (N,H,W,C) uint8, and (N,) bool: which were changed.
    """
    share, kind = settings["images"]["share"], settings["images"]["kind"]
    images_NHWC = images_NHWC.copy()
    changed_N = np.zeros(len(images_NHWC), dtype=bool)
    for row, name in enumerate(content):
        rng = _rng(settings, "images", name)
        changed_N[row] = rng.random() < share
        if changed_N[row]:
            change = _noise if kind == "noise" else _ANY[rng.integers(len(_ANY))]
            images_NHWC[row] = change(images_NHWC[row], rng)
    return images_NHWC, changed_N


def perturbed_labels(
    labels_N: np.ndarray, content: Sequence[str], classes: int, settings: Mapping[str, Any]
) -> np.ndarray:
    """Change a share of the labels, (N,) int64.

    Args:
        labels_N: (N,) the true labels.
        content: (N,) the images' content hashes.
        classes: number of classes of the label space.
        settings: `seed`, and `labels`: `share`, the probability of a change, and `kind`: `uniform`, any class, the
            true one included, or `shift`, the next class, of the last one the first.
    """
    share, kind = settings["labels"]["share"], settings["labels"]["kind"]
    labels_N = np.array(labels_N, dtype=np.int64)
    for row, name in enumerate(content):
        rng = _rng(settings, "labels", name)
        if rng.random() < share:
            shifted = (labels_N[row] + 1) % classes
            labels_N[row] = shifted if kind == "shift" else rng.integers(classes)
    return labels_N


def _rng(settings: Mapping[str, Any], what: str, content: str) -> np.random.Generator:
    return np.random.default_rng(derive_seed(settings["seed"], what, content))


def _bytes(image: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8)


def _noise(image_HWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _bytes(image_HWC + rng.normal(0, NOISE, image_HWC.shape))


def _rotation(image_HWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from scipy.ndimage import rotate

    # Bilinear; black is what lies outside.
    turned = rotate(
        image_HWC.astype(np.float64),
        rng.uniform(-180, 180),
        reshape=False,
        order=1,
        mode="grid-constant",
    )
    return _bytes(turned)


def _speckles(image_HWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    hit_HW = rng.random(image_HWC.shape[:2]) < SPECKLED
    value_HW = 255 * rng.integers(2, size=image_HWC.shape[:2], dtype=np.uint8)
    return np.where(hit_HW[..., None], value_HW[..., None], image_HWC)


def _mirrored(image_HWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return image_HWC[:, ::-1]


def _upside_down(image_HWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return image_HWC[::-1]


_ANY = (_rotation, _speckles, _mirrored, _upside_down)
