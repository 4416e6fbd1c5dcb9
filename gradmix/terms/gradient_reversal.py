"""Gradient reversal (Ganin and Lempitsky 2015): what is behind it descends a loss, what is before it ascends."""

from typing import Any

import torch
from torch import Tensor


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficient: float) -> Tensor:
        ctx.coefficient = coefficient
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.coefficient * gradient, None


def reverse_gradient(x: Tensor, coefficient: float = 1.0) -> Tensor:
    """Give ``x`` itself; its gradient is multiplied by ``-coefficient`` on the way back."""
    reversed_x: Tensor = _Reversal.apply(x, coefficient)
    return reversed_x
