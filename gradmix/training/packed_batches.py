"""One stream's mini-batches of several models: each from its own sampler, gathered together where images are shared.

Shapes: M models, T steps, B images of a mini-batch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gradmix.training.data import LoadedStream


class PackedStream:
    """The same stream of M runs: alike but for its images, labels and order.

    Args:
        streams: one per run.
    """

    def __init__(self, streams: Sequence[LoadedStream]) -> None:
        self._streams = list(streams)
        self._images = [stream.set.images for stream in streams]
        self._shared = all(images is self._images[0] for images in self._images)
        self.device = streams[0].set.device

    @property
    def in_file(self) -> bool:
        """Whether the images lie in memory-mapped files."""
        return any(stream.set.in_file for stream in self._streams)

    def draw(self, steps: int, taken: int) -> tuple[Tensor, Tensor]:
        """The next batches: rows (T - taken, M, B) for `take`, and their labels on the device.

        Args:
            steps: T, to be drawn from every sampler.
            taken: of these, so many first ones are left out.
        """
        rows, labels = [], []
        for stream in self._streams:
            positions = stream.sampler.take(steps)[taken:]
            where = positions.to(stream.set.images.device)
            rows.append(where if stream.set.rows is None else stream.set.rows[where])
            labels.append(stream.set.labels[positions.to(self.device)])
        return torch.stack(rows, dim=1), torch.stack(labels, dim=1)

    def take(self, positions: Tensor) -> Tensor:
        """(M B, height, width, channels) uint8 images of the models' mini-batches, on the device.

        Args:
            positions: (M, B), a step of `draw`'s rows.
        """
        if self._shared:
            found = self._images[0].index_select(0, positions.flatten())
        else:
            parts = zip(self._images, positions, strict=True)
            found = torch.cat([images.index_select(0, rows) for images, rows in parts])
        return found.to(self.device, non_blocking=True)


def batch_size(stream: LoadedStream) -> int:
    """Images of a mini-batch; the sampler is left as it was."""
    state = stream.sampler.state()
    size = stream.sampler.take(1).shape[1]
    stream.sampler.load(state)
    return size
