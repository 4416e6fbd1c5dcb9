"""Sum: plain SGD over all sources (Li et al. 2020, Eq. 1), the paper's reading of source-only training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gradmix.mixing.finite import FiniteCheck
from gradmix.mixing.gradients import gradients_of
from gradmix.mixing.layers import Layer
from gradmix.mixing.mixer import Optimizer
from gradmix.mixing.packed import PackedSum
from gradmix.mixing.reduce import Reduction
from gradmix.mixing.rows import put

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class Sum:
    """Back-propagate the sum of the source losses; the target guides nothing.

    The same calls as `GradMix`, so that a loop can swap one for the other.

    Args:
        source_names: for error messages; ``None``: "source 0", "source 1", ...
        process_group: ranks over which every step's gradients and losses are averaged; see `GradientMixer`.
    """

    def __init__(
        self,
        *,
        source_names: Sequence[str] | None = None,
        process_group: "ProcessGroup | None" = None,
    ) -> None:
        self.source_names = None if source_names is None else list(source_names)
        self.steps = 0
        self._check = FiniteCheck()
        self._reduction: Reduction | None = None
        if process_group is not None:
            self.join(process_group)

    def join(self, process_group: "ProcessGroup") -> None:
        """From now on average every step's gradients and losses over these ranks."""
        self._reduction = Reduction(process_group)
        self._check.in_step = True

    def kind(self) -> tuple[Any, ...]:
        """What mixers have in common that can be one (`together`)."""
        return (type(self), tuple(self.source_names or ()))

    @staticmethod
    def together(mixers: "Sequence[Sum]") -> PackedSum:
        """The mixers of several models, of one kind, as one."""
        return PackedSum(mixers[0].combine)

    def combine(self, losses_K: Tensor) -> Tensor:
        """The scalar that is back-propagated."""
        return losses_K.sum()

    def backward(
        self,
        source_losses: Sequence[Tensor],
        target_loss: Tensor | None = None,
        *,
        retain_graph: bool = False,
    ) -> None:
        """Add the gradient of the summed losses to ``.grad`` of all parameters.

        Raises:
            ValueError: if there is no source.
            NonFiniteGradientError: if a loss is NaN or Inf, with step and source; on a GPU a step or two later,
                with that step's gradients written.
        """
        if not source_losses:
            raise ValueError("there must be at least one source loss, but got none")
        names = self.source_names or [f"source {index}" for index in range(len(source_losses))]
        losses_K = torch.stack(list(source_losses))
        step, self.steps = self.steps, self.steps + 1
        if self._reduction is None:
            self._check.submit(step, losses_K.detach().isfinite()[None], [], names)
            self.combine(losses_K).backward(retain_graph=retain_graph)
            return
        total = self.combine(losses_K)
        gradients = gradients_of([total], ["all sources"], None, retain_graph=retain_graph)
        layer = Layer("all parameters", tuple(gradients))
        gradients, losses_K = self._reduction(gradients, [layer], losses_K.detach())
        self._check.submit(step, losses_K.isfinite()[None], [], names)
        for parameter, rows in gradients.items():
            (gradient,) = rows.tensors()
            assert gradient is not None
            put(parameter, gradient)

    def step(self, optimizer: Optimizer) -> None:
        """``optimizer.step()``."""
        optimizer.step()

    def state(self) -> dict[str, Tensor]:
        """Nothing to keep."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to restore."""

    def check(self) -> None:
        """Wait for all outstanding NaN/Inf checks."""
        self._check.poll(wait=True)
