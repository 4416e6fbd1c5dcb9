"""Momentum SGD, the same numbers as ``torch.optim.SGD``.

Not torch's own, because the first use of ``torch.optim`` imports torch's compiler: 1.5 to 3 s of CPU time at
every process start, about as long as a small run trains. A test holds it to ``torch.optim.SGD`` bit for bit.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gradmix.mixing.rows import over


class SGD:
    """``buffer <- momentum * buffer + gradient + weight_decay * parameter``; ``parameter -= lr * buffer``.

    Args:
        parameters: what is trained; parameters without a gradient are passed over.
        lr: learning rate; (M,) of M stacked models, whose parameters have M in front.
        momentum: in [0, 1).
        weight_decay: in the step only, never inside the gradients that are mixed.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float | Tensor,
        momentum: float,
        weight_decay: float,
    ) -> None:
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.param_groups: list[dict[str, Any]] = [{"params": list(parameters), "lr": lr}]
        self.buffers: dict[int, Tensor] = {}
        self._models: list[SGD] = []

    @classmethod
    def stack(cls, optimizers: Sequence["SGD"], parameters: Sequence[Tensor]) -> "SGD":
        """The optimizers of several models as one; their buffers become slices of its own, as checkpoints need.

        Args:
            optimizers: of equal momentum and weight decay, whose parameters have one order.
            parameters: (M, ...) each.
        """
        first = optimizers[0]
        rates_M = torch.tensor([each.lr for each in optimizers], dtype=torch.float64)
        one = cls(
            parameters,
            lr=rates_M.to(parameters[0].device),
            momentum=first.momentum,
            weight_decay=first.weight_decay,
        )
        one._models = list(optimizers)
        for index in sorted({index for each in optimizers for index in each.buffers}):
            # A model without this buffer has never had a gradient there: a momentum of zero.
            none = torch.zeros_like(parameters[index][0])
            one._keep(index, torch.stack([each.buffers.get(index, none) for each in optimizers]))
        return one

    def state(self) -> dict[str, Tensor]:
        """The momentum buffers."""
        return {str(index): buffer for index, buffer in self.buffers.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue where `state` was taken."""
        self.buffers = {int(index): buffer for index, buffer in state.items()}

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Take a step with the gradients in ``.grad``."""
        if isinstance(self.lr, Tensor):
            self.scaled_step(torch.ones_like(self.lr))
            return
        parameters, steps = self._directions()
        if parameters:
            torch._foreach_add_(parameters, steps, alpha=-self.lr)

    @torch.no_grad()
    def scaled_step(self, factor: Tensor, only: set[int] | None = None) -> None:
        """Take a step at ``factor`` (a tensor on the device, shaped like the rate) times the learning rate.

        Args:
            factor: of the rate; nothing waits for it.
            only: ids of the parameters whose step it changes; ``None``: all.
        """
        parameters, steps = self._directions()
        if not parameters:
            return
        rate = (-self.lr * factor).to(parameters[0].dtype)
        full = (-self.lr * torch.ones_like(factor)).to(rate.dtype)
        rates = [over(rate if only is None or id(p) in only else full, p) for p in parameters]
        torch._foreach_addcmul_(parameters, steps, rates)

    def _directions(self) -> tuple[list[Tensor], list[Tensor]]:
        """The parameters that have a gradient, and what is taken from each, times the rate."""
        parameters, steps = [], []
        for index, parameter in enumerate(self.param_groups[0]["params"]):
            if parameter.grad is None:
                continue
            gradient = parameter.grad
            if self.weight_decay:
                gradient = gradient.add(parameter, alpha=self.weight_decay)
            if self.momentum:
                if index in self.buffers:
                    self.buffers[index].mul_(self.momentum).add_(gradient)
                else:
                    self._keep(index, gradient.clone())
                gradient = self.buffers[index]
            parameters.append(parameter)
            steps.append(gradient)
        return parameters, steps

    def _keep(self, index: int, buffer: Tensor) -> None:
        self.buffers[index] = buffer
        for model, part in zip(self._models, buffer, strict=False):
            model.buffers[index] = part
