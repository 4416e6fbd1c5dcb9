"""Several ranks, one step: gradients and losses averaged over a process group in a single all-reduce.

Shapes: R losses (the sources, then the target), P parameters of all layers, K sources.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributed, nn

from gradmix.mixing.gradients import flatten, unflatten
from gradmix.mixing.layers import Layer
from gradmix.mixing.rows import Gradients

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class Reduction:
    """Averages a step over the ranks of a process group, so that all that follows is the same on each of them.

    What is NaN or Inf on one rank is so on all, and all report it at the same step.

    Args:
        process_group: of ``torch.distributed``, such as ``torch.distributed.group.WORLD``.
    """

    def __init__(self, process_group: "ProcessGroup") -> None:
        self.process_group = process_group
        self._compared: set[tuple[tuple[int, tuple[bool, ...]], ...]] = set()

    def __call__(
        self, gradients: Gradients, layers: Sequence[Layer], losses_K: Tensor
    ) -> tuple[Gradients, Tensor]:
        """Gradients and losses_K, averaged.

        Args:
            gradients: this rank's.
            layers: all parameters that any loss reaches.
            losses_K: this rank's; they travel in the gradients' precision.

        Raises:
            ValueError: on every rank, when a step is the first of its kind and the ranks' parameters, or which
                loss reaches which, are not the same.
        """
        self._compare(gradients, layers)
        parameters = [p for layer in layers for p in layer.parameters]
        flat_RP, tail_K = flatten(gradients, parameters, extra=len(losses_K))
        tail_K.copy_(losses_K)
        whole = flat_RP.as_strided((flat_RP.numel() + len(tail_K),), (1,))
        distributed.all_reduce(whole, group=self.process_group)
        whole /= distributed.get_world_size(self.process_group)
        return unflatten(flat_RP, gradients, parameters), tail_K.to(losses_K.dtype)

    def _compare(self, gradients: Gradients, layers: Sequence[Layer]) -> None:
        """One small all-reduce per kind of step; an all-reduce of different sizes would hang or break off."""
        kind = tuple((id(parameter), rows.reached) for parameter, rows in gradients.items())
        if kind in self._compared:
            return
        self._compared.add(kind)
        parameters = [p for layer in layers for p in layer.parameters]
        reached = [
            (layer.name, [(tuple(p.shape), list(gradients[p].reached)) for p in layer.parameters])
            for layer in layers
        ]
        mine = torch.tensor([_number(reached), _number(_fingerprint(parameters))])
        both = torch.cat([mine, -mine]).to(parameters[0].device)
        distributed.all_reduce(both, distributed.ReduceOp.MAX, group=self.process_group)
        largest, smallest = both.cpu().split(2)
        same_reach, same_weights = (largest == -smallest).tolist()
        if not same_reach:
            raise ValueError(
                "the losses reach different parameters on different ranks; every rank must give the same "
                "sources in the same order, with the same network, heads and frozen layers"
            )
        if not same_weights:
            raise ValueError(
                "the ranks hold different weights; seed torch alike before the network is made, or broadcast "
                "its state from rank 0, and give every rank the same optimizer"
            )


def _fingerprint(parameters: Sequence[nn.Parameter]) -> list[int]:
    # Sums of bytes: exact, whatever the order in which a device adds.
    sums = [p.detach().flatten().view(torch.uint8).sum() for p in parameters]
    numbers: list[int] = torch.stack(sums).tolist()
    return numbers


def _number(value: object) -> int:
    digest = hashlib.blake2b(repr(value).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
