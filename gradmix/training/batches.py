"""Mini-batches of one run or of several: drawn on the host for a whole interval, gathered step by step.

Shapes: M runs, T steps, B images of a mini-batch.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from gradmix.training.data import LoadedStream
from gradmix.training.ranks import ALONE, Ranks


class Batches:
    """The same stream of M runs: alike but for its images, labels and order.

    Args:
        streams: one per run.
        ranks: who trains together; each takes its own part of every mini-batch.
    """

    def __init__(self, streams: Sequence[LoadedStream], ranks: Ranks = ALONE) -> None:
        self._streams = list(streams)
        self._ranks = ranks
        self._images = [stream.set.images for stream in streams]
        self._shared = all(images is self._images[0] for images in self._images)
        self._device = streams[0].set.device

    @property
    def in_file(self) -> bool:
        """Whether the images lie in memory-mapped files."""
        return any(stream.set.in_file for stream in self._streams)

    def draw(self, steps: int, taken: int) -> tuple[Tensor, Tensor, float]:
        """The batches of an interval, of which the first ``taken`` steps are left out.

        Returns:
            Rows (T - taken, M, B) for `gather`; their labels (T - taken, M, B, ...) on the device; and what a mean
            over this rank's part is multiplied by, so that the ranks' average is the whole batch's mean.

        Raises:
            ValueError: if there are more ranks than images in a batch.
        """
        rows, labels = [], []
        for stream in self._streams:
            drawn = stream.sampler.take(steps)[taken:]
            positions = self._ranks.share(drawn)
            factor = self._ranks.factor(positions.shape[1], drawn.shape[1])
            where = positions.to(stream.set.images.device)
            rows.append(where if stream.set.rows is None else stream.set.rows[where])
            labels.append(stream.set.labels[positions.to(self._device)])
        return torch.stack(rows, dim=1), torch.stack(labels, dim=1), factor

    def gather(self, rows_MB: Tensor) -> Tensor:
        """(M B, height, width, channels) uint8 images of a step, on the device."""
        if self._shared:
            images = self._images[0].index_select(0, rows_MB.flatten())
        else:
            parts = zip(self._images, rows_MB, strict=True)
            images = torch.cat([images.index_select(0, rows) for images, rows in parts])
        return images.to(self._device, non_blocking=True)


def gathered(
    batches: Sequence[Batches], rows: Sequence[Tensor], steps: int
) -> Iterator[list[Tensor]]:
    """The images of every stream, step by step.

    Where images lie in a file, another thread reads one step ahead: pages that are not in memory yet come from the
    disk while the processor works. The batches are the same either way.

    Args:
        batches: one per stream.
        rows: of `Batches.draw`, one per stream.
        steps: how many.
    """

    def gather(step: int) -> list[Tensor]:
        return [each.gather(rows_TMB[step]) for each, rows_TMB in zip(batches, rows, strict=True)]

    if steps == 0 or not any(each.in_file for each in batches):
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
