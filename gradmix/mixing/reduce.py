"""Averages a step's gradients and losses over several ranks in a single all-reduce.

Shapes: R losses (the sources, then the target), P parameters of all layers, K sources.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributed, nn

from gradmix.mixing.finite import OTHER_REACH
from gradmix.mixing.gradients import flatten, unflatten
from gradmix.mixing.layers import Layer
from gradmix.mixing.rows import Gradients

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

_BITS = 32


class Reduction:
    """Averages a step over the ranks of a process group, so that all that follows is the same on each of them.

    NaN or Inf on one rank becomes so on all, and all report it at the same step. A code of which loss reaches which
    parameters travels with the gradients, so that all ranks notice at the same step where they differ.

    Args:
        process_group: of ``torch.distributed``, such as ``torch.distributed.group.WORLD``.
    """

    def __init__(self, process_group: "ProcessGroup") -> None:
        self.process_group = process_group
        # Always the same memory, whatever this rank's losses reach: an all-reduce of different sizes would hang.
        self._parameters: list[nn.Parameter] = []
        self._codes: dict[tuple[tuple[int, tuple[bool, ...]], ...], Tensor] = {}

    def __call__(
        self, gradients: Gradients, layers: Sequence[Layer], losses_K: Tensor
    ) -> tuple[Gradients, Tensor, Tensor]:
        """Average gradients and losses_K, and compare which loss reaches what (a flag on the device: all agree).

        Args:
            gradients: this rank's.
            layers: all parameters that any loss reaches.
            losses_K: this rank's; they travel in the gradients' precision.

        Raises:
            ValueError: on every rank, when parameters are met for the first time and they, or which loss reaches
                which, are not the same on all.
        """
        kind = tuple((id(parameter), rows.reached) for parameter, rows in gradients.items())
        parameters = [p for layer in layers for p in layer.parameters]
        if not self._parameters:
            self._compare(_reach(gradients, layers), parameters)
            self._parameters = parameters
        new = kind not in self._codes
        if new:
            self._codes[kind] = _code(_reach(gradients, layers), parameters[0].device)
        averaged = self._averaged(gradients, losses_K, self._codes[kind])
        known = {id(p) for p in self._parameters}
        more = [p for p in parameters if id(p) not in known] if new else []
        # What is new to one rank is new to all that agree with it, and nobody else goes on.
        if more and bool(averaged[2]):
            self._compare(_reach(gradients, layers), parameters)
            self._parameters += more
            averaged = self._averaged(gradients, losses_K, self._codes[kind])
        return averaged

    def _averaged(
        self, gradients: Gradients, losses_K: Tensor, code: Tensor
    ) -> tuple[Gradients, Tensor, Tensor]:
        count = len(losses_K)
        flat_RP, tail = flatten(gradients, self._parameters, extra=count + _BITS)
        tail[:count].copy_(losses_K)
        tail[count:].copy_(code)
        whole = flat_RP.as_strided((flat_RP.numel() + len(tail),), (1,))
        distributed.all_reduce(whole, group=self.process_group)
        whole /= distributed.get_world_size(self.process_group)
        # Bits are 1 or -1: their mean is one of these only where all ranks have the same.
        agreed = (tail[count:].abs() == 1).all()
        averaged = {**gradients, **unflatten(flat_RP, gradients, self._parameters)}
        return averaged, tail[:count].to(losses_K.dtype), agreed

    def _compare(self, reach: object, parameters: Sequence[nn.Parameter]) -> None:
        """Compare ranks by one small all-reduce, before the first large one."""
        mine = torch.tensor([_number(reach), _number(_fingerprint(parameters))])
        both = torch.cat([mine, -mine]).to(parameters[0].device)
        distributed.all_reduce(both, distributed.ReduceOp.MAX, group=self.process_group)
        largest, smallest = both.cpu().split(2)
        same_reach, same_weights = (largest == -smallest).tolist()
        if not same_reach:
            raise ValueError(OTHER_REACH)
        if not same_weights:
            raise ValueError(
                "the ranks hold different weights; seed torch alike before the network is made, or broadcast "
                "its state from rank 0, and give every rank the same optimizer"
            )


def _reach(gradients: Gradients, layers: Sequence[Layer]) -> object:
    return [
        (layer.name, [(tuple(p.shape), list(gradients[p].reached)) for p in layer.parameters])
        for layer in layers
    ]


def _code(reach: object, device: torch.device) -> Tensor:
    number = _number(reach)
    bits = [1.0 if number >> bit & 1 else -1.0 for bit in range(_BITS)]
    return torch.tensor(bits, device=device)


def _fingerprint(parameters: Sequence[nn.Parameter]) -> list[int]:
    # Sums of bytes: exact, whatever the order in which a device adds.
    sums = [p.detach().flatten().view(torch.uint8).sum() for p in parameters]
    numbers: list[int] = torch.stack(sums).tolist()
    return numbers


def _number(value: object) -> int:
    digest = hashlib.blake2b(repr(value).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
