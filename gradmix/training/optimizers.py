"""The optimizers of a run, each with a state that a checkpoint can hold."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gradmix.terms.adam import adam_state, load_adam_state
from gradmix.training.sgd import SGD


class RunOptimizer(Protocol):
    """What the training loop asks of an optimizer."""

    param_groups: list[dict[str, Any]]

    def zero_grad(self) -> None:
        """Drop all gradients."""

    def step(self) -> Any:
        """Take a step."""

    def state(self) -> dict[str, Tensor]:
        """Tensors from which `load` restores it."""

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue where `state` was taken."""


class Adam:
    """``torch.optim.Adam`` with its usual constants, and its state as flat names."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float
    ) -> None:
        self._adam = torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay)
        self.param_groups: list[dict[str, Any]] = self._adam.param_groups

    def zero_grad(self) -> None:
        """Drop all gradients."""
        self._adam.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Take a step with the gradients in ``.grad``."""
        self._adam.step()

    def state(self) -> dict[str, Tensor]:
        """Both moments and the step count of every parameter."""
        return adam_state(self._adam)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue where `state` was taken."""
        load_adam_state(self._adam, state)


def make_optimizer(
    name: str,
    parameters: Iterable[nn.Parameter],
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
) -> RunOptimizer:
    """``"sgd"`` (with momentum) or ``"adam"``.

    Raises:
        ValueError: for another name.
    """
    if name == "sgd":
        return SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)
    if name == "adam":
        return Adam(parameters, lr=lr, weight_decay=weight_decay)
    raise ValueError(f'optimizer must be "sgd" or "adam", but got {name!r}')
