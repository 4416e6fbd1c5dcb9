"""Street-number-like digits, generated: a stand-in for SVHN that needs no download."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from gradmix.domains.raw import RawImages

DIGITS = tuple("0123456789")


def raw_files(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """List no file: the images are generated."""
    return []


def load(settings: Mapping[str, Any], data_dir: Path, wanted: Collection[str] | None) -> RawImages:
    """Draw `count` images (N,32,32,3) uint8 RGB of the wanted digits, each digit in turn.

    The n-th image of a digit depends on `seed`, the digit and n alone: more images, or fewer other
    classes, change none of those that were there. Pixels may differ between versions of Pillow and
    matplotlib, whose fonts are used.

    Raises:
        ValueError: `count` or `seed` is not a whole number in range, no digit is wanted, or a font
            is missing.
    """
    import numpy as np

    from gradmix.domains.rendering import DigitPainter

    count, seed = settings.get("count"), settings.get("seed")
    seed = 0 if seed is None else seed
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(
            f"origin 'rendered_digits' needs `count`: a positive number, but got {count!r}"
        )
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ValueError(
            f"origin 'rendered_digits': `seed` must be a whole number from 0, but got {seed!r}"
        )
    digits = [digit for digit in DIGITS if wanted is None or digit in wanted]
    if not digits:
        raise ValueError(
            f"origin 'rendered_digits' draws the classes 0 to 9, but none of them is wanted "
            f"({sorted(wanted or [])})"
        )
    painter = DigitPainter()
    images_NHWC = np.empty((count, 32, 32, 3), np.uint8)
    names = [digits[row % len(digits)] for row in range(count)]
    for row, digit in enumerate(names):
        images_NHWC[row] = painter.paint(
            int(digit), np.random.default_rng([seed, int(digit), row // len(digits)])
        )
    return RawImages(
        images=images_NHWC,
        class_names=np.array(names),
        originals=[f"seed{seed}/{digit}/{row // len(digits)}" for row, digit in enumerate(names)],
        sources=painter.sources,
        notes=[f"drawn with {painter.versions}"],
    )
