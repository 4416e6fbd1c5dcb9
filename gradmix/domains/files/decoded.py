"""The result of decoding one file: frames of the right size, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Decoded:
    """The frames of a clip, or the one picture of an image file.

    Attributes:
        frames_FHWC: (F,H,W,3) uint8.
        numbers: which frame of the clip each one is, (F,) from 0; empty for an image.
        sha256: of the file.
        remark: what is unusual about it and was handled: "grey", "CMYK", ...; "" = nothing.
    """

    frames_FHWC: np.ndarray
    numbers: tuple[int, ...]
    sha256: str
    remark: str = ""


class UndecodableError(ValueError):
    """A file that cannot be used; the message is half a sentence without the file's name."""
