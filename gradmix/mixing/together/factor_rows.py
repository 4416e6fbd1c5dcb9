"""Gradients of linear maps that are never made.

Shapes: R losses, N rows of a layer's input.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gradmix.mixing.together.recording import Recording


class FactorRows:
    """Gradients of a linear map, kept as inputs and error signals: ``sum_n error_n input_n^T`` over a loss's rows.

    Their inner products are sums of products of inner products, and their mixture is one matrix product over all
    rows, each scaled by its loss's factor; where few rows meet wide layers both cost less than the gradients.

    Args:
        recording: of the pass.
        inputs: (N, in), of all parts.
        errors: (N, out).
        counts: rows of each part.
    """

    def __init__(
        self, recording: Recording, inputs: Tensor, errors: Tensor, counts: Sequence[int]
    ) -> None:
        self._recording = recording
        self._inputs = inputs
        self._errors = errors
        self._counts = list(counts)

    @property
    def reached(self) -> tuple[bool, ...]:
        """Which of the R losses reach the parameter."""
        return tuple(row in self._recording.row_of_part for row in range(self._recording.losses))

    def tensors(self) -> list[Tensor | None]:
        """The gradients, after all."""
        errors, inputs = (part.split(self._counts) for part in (self._errors, self._inputs))
        return self._recording.by_loss([e.mT @ x for e, x in zip(errors, inputs, strict=True)])

    def gram_RR(self) -> Tensor:  # noqa: N802
        """Inner products, in float64 as all of them."""
        inputs, errors = self._inputs.double(), self._errors.double()
        products_NN = (inputs @ inputs.mT).mul_(errors @ errors.mT)
        return self._summed(self._summed(products_NN).mT)

    def plan(self, factors: Sequence[Tensor]) -> None:
        """Nothing to prepare."""

    def mixed(self, factors: Sequence[Tensor]) -> Tensor | None:
        """One product over all rows."""
        if not any(self.reached[: len(factors)]):
            return None
        of_parts = self._recording.factors_of_parts(factors)
        errors = self._errors.split(self._counts)
        scaled = torch.cat([e * factor for e, factor in zip(errors, of_parts, strict=True)])
        return scaled.mT @ self._inputs

    def _summed(self, table_NX: Tensor) -> Tensor:
        """(N, X) to (R, X): the sum over each loss's rows."""
        parts = [part_nX.sum(dim=0) for part_nX in table_NX.split(self._counts)]
        rows = self._recording.by_loss(parts)
        return torch.stack([torch.zeros_like(parts[0]) if row is None else row for row in rows])
