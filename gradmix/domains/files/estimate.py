"""Estimates what preparing a domain of files will take: images, disk, time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gradmix.domains.files.decoded import Decoded
from gradmix.domains.files.listing import MediaFile
from gradmix.domains.files.side_by_side import side_by_side

_TRIED = 8
_BYTES_PER_PIXEL = 3


@dataclass(frozen=True)
class Estimate:
    """Predicts the cost of a preparation.

    Attributes:
        files: number of files to decode.
        images: number of images that they give.
        image: height and width, in pixels.
        size: size of the images on disk, in bytes.
        seconds: time with `processes`; `None` where none of the files tried decodes.
        processes: number of processes that decode at the same time.
        tried: number of files that were decoded for this.
    """

    files: int
    images: int
    image: tuple[int, int]
    size: int
    seconds: float | None
    processes: int
    tried: int

    def __str__(self) -> str:
        height, width = self.image
        what = (
            f"{self.files:,} files, about {self.images:,} images of {height} x {width}, "
            f"{self.size / 1e9:.2f} GB on disk"
        )
        if self.seconds is None:
            return f"{what}; time unknown, because none of the files tried decodes"
        minutes, seconds = divmod(round(self.seconds), 60)
        clock = f"{minutes} min {seconds} s" if minutes else f"{max(1, seconds)} s"
        by = "one process" if self.processes == 1 else f"{self.processes} processes"
        return f"{what}, about {clock} with {by} (from {self.tried} files tried)"


def estimate(
    files: Sequence[MediaFile],
    decode: Callable[[MediaFile], Decoded],
    usual: float,
    image: tuple[int, int],
    processes: int,
) -> Estimate:
    """Decode a few of the files, evenly spread, and extrapolate.

    A file that does not decode is passed over; the preparation itself will report it. Processes are
    taken to share the work without loss, so on fewer cores than processes the time is longer.

    Args:
        files: all files that will be decoded.
        decode: gives a file's images; any exception is a file that does not decode.
        usual: images per file, where none of those tried decodes.
        image: height and width of the images.
        processes: number of processes that will decode at the same time.
    """
    step = max(1, len(files) // _TRIED)
    tried = side_by_side(partial(_timed, decode), files[::step][:_TRIED], 1)
    decoded = [result for _, result in tried if not isinstance(result, Exception)]
    per_file = sum(images for images, _ in decoded) / len(decoded) if decoded else usual
    images = round(per_file * len(files))
    # The first one pays for loading the decoder.
    timed = [seconds for _, seconds in decoded[1:]]
    seconds = sum(timed) / len(timed) * len(files) / processes if timed else None
    size = images * image[0] * image[1] * _BYTES_PER_PIXEL
    return Estimate(len(files), images, image, size, seconds, processes, len(decoded))


def _timed(decode: Callable[[MediaFile], Decoded], file: MediaFile) -> tuple[int, float]:
    started = time.perf_counter()
    result = decode(file)
    return len(result.frames_FHWC), time.perf_counter() - started
