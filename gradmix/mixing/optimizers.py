"""Takes an optimizer's step at a fraction of its own rate."""

import inspect
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from gradmix.mixing.rows import over


class Optimizer(Protocol):
    """The part of ``torch.optim.Optimizer`` that `GradientMixer.step` uses."""

    param_groups: list[dict[str, Any]]

    def step(self) -> Any:
        """Take a step."""


@runtime_checkable
class ScaledSteps(Protocol):
    """An optimizer that can take a fraction of a step without a copy of the parameters."""

    def scaled_step(self, factor: Tensor, only: set[int] | None) -> None:
        """Take the step ``factor`` (scalar tensor) times as far for the parameters of these ids (``None``: all)."""


def take_step(
    optimizer: Optimizer, eta: Tensor | None, only: set[int] | None, scaler: Any | None
) -> None:
    """Take the optimizer's step, the fraction eta of it for the parameters of these ids (``None``: all).

    Args:
        optimizer: one that needs no closure.
        eta: the fraction, a scalar or one per stacked model; ``None``: the whole step.
        only: ids of the parameters that eta acts on.
        scaler: a ``torch.amp.GradScaler``, which leaves out a step that overflowed; ``None``: there is none.
    """
    if eta is None:
        _step(optimizer, scaler)
    elif scaler is None and isinstance(optimizer, ScaledSteps):
        optimizer.scaled_step(eta, only)
    else:
        _part_of_step(optimizer, scaler, eta, only)


@lru_cache(maxsize=64)
def needs_closure(optimizer: type) -> bool:
    """Say whether a step of this class calls the loss itself (LBFGS)."""
    step = getattr(optimizer, "step", None)
    closure = inspect.signature(step).parameters.get("closure") if callable(step) else None
    return closure is not None and closure.default is inspect.Parameter.empty


def _step(optimizer: Optimizer, scaler: Any | None) -> None:
    if scaler is None:
        optimizer.step()
    else:
        scaler.step(optimizer)


def _part_of_step(
    optimizer: Optimizer, scaler: Any | None, eta: Tensor, only: set[int] | None
) -> None:
    parameters = [
        p
        for group in optimizer.param_groups
        for p in group["params"]
        if p.grad is not None and (only is None or id(p) in only)
    ]
    before = [p.detach().clone() for p in parameters]
    _step(optimizer, scaler)
    with torch.no_grad():
        for parameter, old in zip(parameters, before, strict=True):
            torch.lerp(old, parameter, over(eta.to(parameter.dtype), old), out=parameter)
