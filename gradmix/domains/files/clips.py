"""Frames of a clip, decoded once from its beginning to its end with OpenCV.

OpenCV was the fastest of the decoders that read every clip they were tried on, because it converts
and resizes only the frames that are kept (benchmarks/extraction.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradmix.domains.files.decoded import Decoded, UndecodableError
from gradmix.domains.files.fit import Fit, fit, opencv
from gradmix.domains.names import is_utf8
from gradmix.files import sha256_of

if TYPE_CHECKING:
    import numpy as np

# Headers often announce a frame or two more than the stream holds.
_TOLERATED = 0.1


@dataclass(frozen=True)
class Sampling:
    """Which frames of a clip are kept: `count` of them uniformly spread, or every `every`-th.

    Raises:
        ValueError: not exactly one of the two is given, or it is less than 1.
    """

    count: int | None = None
    every: int | None = None

    def __post_init__(self) -> None:
        given = [number for number in (self.count, self.every) if number is not None]
        if len(given) != 1 or given[0] < 1:
            raise ValueError(
                f"either a count of frames or every n-th frame, at least 1, but got {self}"
            )

    def positions(self, frames: int) -> Sequence[int]:
        """Choose which of a clip's frames are kept, ascending: the middles of equal parts.

        A clip with fewer frames than `count` gives all of them.
        """
        if self.every is not None:
            return range(0, frames, self.every)  # however many a header announces
        assert self.count is not None
        count = min(self.count, frames)
        return [(2 * part + 1) * frames // (2 * count) for part in range(count)]


def decode_clip(path: Path, sampling: Sampling, height: int, width: int, how: Fit) -> Decoded:
    """Decode the frames that `sampling` keeps, RGB, of the given size.

    Raises:
        UndecodableError: it is no video, holds no frame, or ends well before its announced end; or OpenCV cannot take
            its path.
        OSError: it cannot be read.
    """
    import numpy as np

    if path.stat().st_size == 0:
        raise UndecodableError("the file is empty")
    if not is_utf8(str(path)):  # OpenCV crashes
        raise UndecodableError("its path is no UTF-8; rename it")
    kept: list[np.ndarray] = []

    def keep(frame_HWC: np.ndarray) -> None:
        kept.append(fit(frame_HWC, height, width, how)[..., ::-1])  # OpenCV's order is BGR

    with _opened(path) as capture:
        announced = announced_frames(path, capture)
        wanted = sampling.positions(announced)
        decoded = _walk(capture, wanted, keep)
    if not decoded:
        raise UndecodableError("no frame decodes")
    if not kept or announced - decoded > max(2, _TOLERATED * announced):
        raise UndecodableError(f"truncated: {decoded} of {announced:,} announced frames decode")
    return Decoded(np.stack(kept), tuple(wanted[: len(kept)]), sha256_of(path))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    # Read by OpenCV when it loads: FFmpeg's complaints carry no file name; ours do.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2 = opencv()
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        if not capture.isOpened():
            raise UndecodableError("not a video, or of a kind that cannot be decoded")
        yield capture
    finally:
        capture.release()


def announced_frames(path: Path, capture: Any) -> int:
    """Read the number of frames from an opened clip's header, or count them where it does not say."""
    import cv2

    frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    if frames > 0:
        return frames
    with _opened(path) as other:
        return _walk(other, (), lambda frame: None)


def _walk(capture: Any, wanted: Iterable[int], keep: Callable[[np.ndarray], None]) -> int:
    """Decode the whole clip, hand the wanted frames (ascending) over, and count the frames that decode."""
    waiting = iter(wanted)
    next_one = next(waiting, None)
    number = 0
    while capture.grab():
        if number == next_one:
            whole, frame = capture.retrieve()
            if not whole:
                break
            keep(frame)
            next_one = next(waiting, None)
        number += 1
    return number
