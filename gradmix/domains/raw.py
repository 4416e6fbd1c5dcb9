"""What an origin gives: raw images and class names, before selecting and resizing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class RawImages:
    """N images of an origin, and their class names.

    Attributes:
        images: (N,H,W,C) uint8, C = 1 or 3; need not be contiguous.
        class_names: (N,) strings, the origin's own name of each image's class.
        originals: (N,) strings that say which image of the origin each one is.
        groups: (N,) strings, or None; images of one group are never parted by a split. "" = no
            group.
        sources: SHA-256 of what was read, by file name.
        notes: sentences for domain.json.
    """

    images: np.ndarray
    class_names: np.ndarray
    originals: Sequence[str] | np.ndarray
    groups: Sequence[str] | np.ndarray | None = None
    sources: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
