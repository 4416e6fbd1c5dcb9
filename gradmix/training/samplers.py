"""Which images make up each mini-batch: indices drawn on the host, a whole evaluation interval at a time.

Only small index tensors travel to the device; the images lie there already. Every sampler has a state that a
checkpoint can hold, so that a resumed run draws the very same batches.
"""

import torch
from torch import Tensor


class Shuffled:
    """Mini-batches without replacement: a permutation of all images, then a new one.

    A permutation's rest shorter than a batch is carried over into the next batch, so no image is dropped.

    Args:
        rows: the images to draw from, (N,) int64.
        batch_size: images per batch; more than N only with ``repeat``.
        seed: of the order.
        repeat: whether a batch may hold an image twice, rather than be smaller.

    Attributes:
        size: images of a batch.
    """

    def __init__(self, rows: Tensor, batch_size: int, seed: int, *, repeat: bool = False) -> None:
        assert len(rows) > 0
        self._rows = rows
        self.size = batch_size if repeat else min(batch_size, len(rows))
        self._generator = torch.Generator().manual_seed(seed)
        self._waiting = rows[:0]

    def take(self, batches: int) -> Tensor:
        """(batches, size) int64 rows, on the CPU."""
        needed = batches * self.size
        parts, held = [self._waiting], len(self._waiting)
        while held < needed:
            order = torch.randperm(len(self._rows), generator=self._generator)
            parts.append(self._rows[order])
            held += len(order)
        drawn = torch.cat(parts)
        self._waiting = drawn[needed:].clone()
        return drawn[:needed].view(batches, self.size)

    def state(self) -> dict[str, Tensor]:
        """Tensors from which `load` restores it."""
        return {"generator": self._generator.get_state(), "waiting": self._waiting}

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue where `state` was taken."""
        self._generator.set_state(state["generator"])
        self._waiting = state["waiting"]


class Balanced:
    """Mini-batches with equally many images of each class (the first classes one more where it does not divide).

    A class with fewer images than its share repeats them.

    Args:
        labels: class of every image, (N,) int64.
        batch_size: images per batch.
        seed: of the order.

    Raises:
        ValueError: if a batch has no room for every class.
    """

    def __init__(self, labels: Tensor, batch_size: int, seed: int) -> None:
        classes = labels.unique().tolist()
        if batch_size < len(classes):
            raise ValueError(
                f"training.target_batch_size is {batch_size}, but there are {len(classes)} classes"
            )
        self.size = batch_size
        shares = [
            batch_size // len(classes) + (index < batch_size % len(classes))
            for index in range(len(classes))
        ]
        self._classes = [
            Shuffled((labels == label).nonzero()[:, 0], share, seed + index, repeat=True)
            for index, (label, share) in enumerate(zip(classes, shares, strict=True))
        ]

    def take(self, batches: int) -> Tensor:
        """(batches, size) int64 rows, on the CPU."""
        return torch.cat([sampler.take(batches) for sampler in self._classes], dim=1)

    def state(self) -> dict[str, Tensor]:
        """Tensors from which `load` restores it."""
        return {
            f"{index}.{name}": tensor
            for index, sampler in enumerate(self._classes)
            for name, tensor in sampler.state().items()
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue where `state` was taken."""
        for index, sampler in enumerate(self._classes):
            sampler.load({name: state[f"{index}.{name}"] for name in ("generator", "waiting")})


class Whole:
    """All images at every step, in their order.

    Args:
        size: number of images.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def take(self, batches: int) -> Tensor:
        """(batches, size) int64 rows, on the CPU."""
        return torch.arange(self.size).expand(batches, -1)

    def state(self) -> dict[str, Tensor]:
        """Nothing to keep."""
        return {}

    def load(self, state: dict[str, Tensor]) -> None:
        """Nothing to restore."""


Sampler = Shuffled | Balanced | Whole


def target_sampler(labels: Tensor, batch_size: int, seed: int) -> Sampler:
    """All of a small labelled target set at every step; class-balanced batches of one that is larger."""
    if len(labels) <= batch_size:
        return Whole(len(labels))
    return Balanced(labels, batch_size, seed)
