"""Momentum SGD of several models at once, each with its own learning rate.

Shapes: M models; parameters, gradients and buffers have M in front.
"""

from collections.abc import Sequence

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

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None], rates: Sequence[Tensor | None]) -> None:
        """Take a step.

        Args:
            gradients: stacked; ``None``: the parameter is passed over.
            rates: what the learning rate is multiplied by, (M,); ``None``: by nothing.
        """
        for index, (parameter, gradient) in enumerate(
            zip(self._parameters, gradients, strict=True)
        ):
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
            factor = rates[index]
            rate_M = self._lr_M if factor is None else self._lr_M * factor
            shape = (-1, *([1] * (parameter.dim() - 1)))
            parameter.addcmul_(gradient, rate_M.to(parameter.dtype).view(shape), value=-1)

    def _keep(self, index: int, buffer: Tensor) -> None:
        self._buffers[index] = buffer
        for optimizer, part in zip(self._optimizers, buffer, strict=True):
            optimizer.buffers[index] = part
