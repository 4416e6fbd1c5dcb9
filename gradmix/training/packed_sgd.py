"""Momentum SGD of several models at once, each with its own learning rate.

Shapes: M models; parameters, gradients and buffers have M in front.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gradmix.training.sgd import SGD


class PackedSGD:
    """`SGD` for stacked parameters; the models' own optimizers see their part of the buffers, as checkpoints do.

    Args:
        parameters: (M, ...) each.
        optimizers: the models' own, of equal momentum and weight decay, whose parameters have the same order.
    """

    def __init__(self, parameters: Sequence[Tensor], optimizers: Sequence[SGD]) -> None:
        first = optimizers[0]
        self._parameters = list(parameters)
        self.param_groups: list[dict[str, Any]] = [{"params": self._parameters}]
        self._optimizers = list(optimizers)
        self._momentum, self._weight_decay = first.momentum, first.weight_decay
        rates = torch.tensor([optimizer.lr for optimizer in optimizers], dtype=torch.float64)
        self._lr_M = rates.to(parameters[0].device)
        self._buffers: dict[int, Tensor] = {}
        known = {index for optimizer in optimizers for index in optimizer.buffers}
        for index in sorted(known):
            # A model without this buffer has never had a gradient there: a momentum of zero.
            like = parameters[index][0].detach()
            kept = [
                optimizer.buffers.get(index, torch.zeros_like(like)) for optimizer in optimizers
            ]
            self._keep(index, torch.stack(kept).contiguous())

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def step(self) -> None:
        """Take a step with the gradients in ``.grad``."""
        self.scaled_step(None)

    @torch.no_grad()
    def scaled_step(self, factor: Tensor | None, only: set[int] | None = None) -> None:
        """Take a step.

        Args:
            factor: what each model's learning rate is multiplied by, (M,); ``None``: by nothing.
            only: ids of the parameters whose step it changes; ``None``: all.
        """
        for index, parameter in enumerate(self._parameters):
            gradient = parameter.grad
            if gradient is None:
                continue
            if self._weight_decay:
                gradient = gradient.add(parameter, alpha=self._weight_decay)
            if self._momentum:
                if index in self._buffers:
                    self._buffers[index].mul_(self._momentum).add_(gradient)
                else:
                    self._keep(index, gradient.contiguous().clone())
                gradient = self._buffers[index]
            rate_M = self._lr_M
            if factor is not None and (only is None or id(parameter) in only):
                rate_M = rate_M * factor
            shape = (-1, *([1] * (parameter.dim() - 1)))
            parameter.addcmul_(gradient, rate_M.to(parameter.dtype).view(shape), value=-1)

    def _keep(self, index: int, buffer: Tensor) -> None:
        self._buffers[index] = buffer
        for optimizer, part in zip(self._optimizers, buffer, strict=True):
            optimizer.buffers[index] = part
