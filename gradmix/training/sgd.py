"""Momentum SGD, the same numbers as ``torch.optim.SGD``.

Not torch's own, because the first use of ``torch.optim`` imports torch's compiler: 1.5 to 3 s of CPU time at
every process start, about as long as a small run trains. A test holds it to ``torch.optim.SGD`` bit for bit.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn


class SGD:
    """``buffer <- momentum * buffer + gradient + weight_decay * parameter``; ``parameter -= lr * buffer``.

    Args:
        parameters: what is trained; parameters without a gradient are passed over.
        lr: learning rate.
        momentum: in [0, 1).
        weight_decay: in the step only, never inside the gradients that are mixed.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, lr: float, momentum: float, weight_decay: float
    ) -> None:
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.param_groups: list[dict[str, Any]] = [{"params": list(parameters), "lr": lr}]
        self.buffers: dict[int, Tensor] = {}

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
        parameters, steps = self._directions()
        if parameters:
            torch._foreach_add_(parameters, steps, alpha=-self.lr)

    @torch.no_grad()
    def scaled_step(self, factor: Tensor, only: set[int] | None = None) -> None:
        """Take a step at ``factor`` (a scalar tensor on the device) times the learning rate.

        Args:
            factor: of the rate; nothing waits for it.
            only: ids of the parameters whose step it changes; ``None``: all.
        """
        parameters, steps = self._directions()
        if not parameters:
            return
        rate = (-self.lr * factor).to(parameters[0].dtype)
        full = torch.full_like(rate, -self.lr)
        rates = [rate if only is None or id(p) in only else full for p in parameters]
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
                    self.buffers[index] = gradient.clone()
                gradient = self.buffers[index]
            parameters.append(parameter)
            steps.append(gradient)
        return parameters, steps
