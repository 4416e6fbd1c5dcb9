"""Ranks: processes that train one network together, each on its share of every mini-batch.

Shapes: B images of the joined mini-batch.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed

from gradmix.nets.synchronised import SynchronisedStatistics
from gradmix.seeds import derive_seed

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; by itself, none of its calls does anything.

    Every rank draws the same joined mini-batches from the same seeds and takes its own part of them. Gradients
    are averaged, batch normalisation is over all parts, and so all ranks hold the same weights all the time.

    Attributes:
        rank: number of this process, from 0; rank 0 logs and writes.
        count: number of ranks.
        group: through which they talk; ``None`` where there is one.
        device: that this rank trains on; ``None`` where there is one, which looks for its device itself.
    """

    rank: int = 0
    count: int = 1
    group: "ProcessGroup | None" = None
    device: torch.device | None = None

    @property
    def first(self) -> bool:
        """Whether this process logs and writes."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """This rank's columns of (steps, B) rows: every count-th, which keeps class-balanced batches balanced.

        Raises:
            ValueError: if B is smaller than the number of ranks.
        """
        if self.group is None:
            return rows
        if rows.shape[1] < self.count:
            raise ValueError(
                f"resources.gpu: {self.count} ranks cannot share a mini-batch of {rows.shape[1]} images; "
                f"use fewer"
            )
        return rows[:, self.rank :: self.count]

    def factor(self, share: int, whole: int) -> float:
        """What to multiply a mean over this rank's share by, so that the ranks' average is the whole batch's mean."""
        return share * self.count / whole

    def statistics(self) -> AbstractContextManager[Any]:
        """A context in which batch normalisation is over all ranks' mini-batches."""
        return nullcontext() if self.group is None else SynchronisedStatistics(self.group)

    def seed(self, seed: int) -> int:
        """Of this rank's random terms: rank 0 draws what a process by itself would."""
        return seed if self.first else derive_seed(seed, "rank", self.rank)

    def average(self, values: Tensor) -> Tensor:
        """The mean over ranks."""
        return values if self.group is None else self.sum(values) / self.count

    def sum(self, values: Tensor) -> Tensor:
        """The sum over ranks."""
        if self.group is None:
            return values
        values = values.clone()
        distributed.all_reduce(values, group=self.group)
        return values

    def gather(self, values: Tensor) -> list[Tensor]:
        """The tensors of all ranks, in their order; they have one shape."""
        if self.group is None:
            return [values]
        gathered = [torch.empty_like(values) for _ in range(self.count)]
        distributed.all_gather(gathered, values, group=self.group)
        return gathered

    def agreed(self, answer: bool) -> bool:
        """Rank 0's answer, on every rank."""
        if self.group is None:
            return answer
        return bool(self.sum(torch.tensor(int(answer and self.first))))


ALONE = Ranks()
