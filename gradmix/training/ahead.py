"""Mini-batches from files, gathered while the step before them is computed."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import torch
from torch import Tensor


class Images(Protocol):
    """What batches are gathered from."""

    @property
    def in_file(self) -> bool:
        """Whether they lie in a memory-mapped file."""

    def take(self, positions: Tensor) -> Tensor:
        """The images at these positions, on the device."""


def gathered(sets: Sequence[Images], rows: Sequence[Tensor], steps: int) -> Iterator[list[Tensor]]:
    """The images of every set's mini-batch, step by step.

    Where a set lies in a file, another thread reads one step ahead: pages that are not in memory yet come from
    the disk while the processor works. The batches are the same either way.

    Args:
        sets: of the run.
        rows: positions in each set, (steps, B) int64.
        steps: how many.
    """

    def gather(step: int) -> list[Tensor]:
        return [images.take(each[step]) for images, each in zip(sets, rows, strict=True)]

    if steps == 0 or not any(images.in_file for images in sets):
        yield from map(gather, range(steps))
        return
    # The number of threads is each thread's own in OpenMP: without a word this one would take all cores.
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as ahead:
        waiting = ahead.submit(gather, 0)
        for step in range(steps):
            images = waiting.result()
            if step + 1 < steps:
                waiting = ahead.submit(gather, step + 1)
            yield images
