"""Gradients of linear maps, kept as their two factors.

Shapes: S parts of a joint forward pass, R losses, N rows of a layer's input.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Owners(NamedTuple):
    """The row of the loss that uses each of the S parts (``None``: no loss does), and how many losses there are."""

    row_of_part: tuple[int | None, ...]
    losses: int

    def by_loss(self, parts: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Sum (S) to (R): a loss that uses several parts has the sum of their gradients."""
        rows: list[Tensor | None] = [None] * self.losses
        for row, part in zip(self.row_of_part, parts, strict=True):
            if row is not None and part is not None:
                old = rows[row]
                rows[row] = part if old is None else old + part
        return rows

    def factors(self, factors: Sequence[Tensor]) -> list[Tensor]:
        """Spread (R) to (S): the factor of each part's gradient; 0 for rows without a factor."""
        zero = torch.zeros_like(factors[0])
        return [
            zero if row is None or row >= len(factors) else factors[row] for row in self.row_of_part
        ]


class FactorRows:
    """Gradients of a linear map, kept as inputs and error signals: ``sum_n error_n input_n^T`` over a loss's rows.

    Their inner products are sums of products of inner products, and their mixture is one matrix product over all
    rows, each scaled by its loss's factor; where few rows meet wide layers both cost less than the gradients.

    Args:
        owners: which loss uses which part.
        inputs: (N, in), all parts' rows.
        errors: (N, out).
        counts: rows of each part.
    """

    def __init__(
        self, owners: Owners, inputs: Tensor, errors: Tensor, counts: Sequence[int]
    ) -> None:
        self._owners = owners
        self._inputs = inputs
        self._errors = errors
        self._counts = list(counts)

    @property
    def reached(self) -> tuple[bool, ...]:
        """Which of the R losses reach the parameter."""
        return tuple(row in self._owners.row_of_part for row in range(self._owners.losses))

    def tensors(self) -> list[Tensor | None]:
        """Multiply the factors, where the gradients themselves are needed."""
        errors, inputs = (part.split(self._counts) for part in (self._errors, self._inputs))
        return self._owners.by_loss([e.mT @ x for e, x in zip(errors, inputs, strict=True)])

    def gram_RR(self) -> Tensor:  # noqa: N802
        """Multiply inner products of inputs and of errors, in float64 like all inner products."""
        inputs, errors = self._inputs.double(), self._errors.double()
        products_NN = (inputs @ inputs.mT).mul_(errors @ errors.mT)
        gram_RR = self._summed(self._summed(products_NN).mT)
        # Rounding leaves a gradient that is zero a square just below it, and products that no such gradient has.
        norms_R = gram_RR.diagonal().clamp(min=0).sqrt()
        most_RR = norms_R[:, None] * norms_R
        return gram_RR.clamp(-most_RR, most_RR)

    def mixed(self, factors: Sequence[Tensor]) -> Tensor | None:
        """Mix by one product over all rows."""
        if not any(self.reached[: len(factors)]):
            return None
        by_part = self._owners.factors(factors)
        errors = self._errors.split(self._counts)
        scaled = torch.cat([e * factor for e, factor in zip(errors, by_part, strict=True)])
        return scaled.mT @ self._inputs

    def _summed(self, table_NX: Tensor) -> Tensor:
        """Sum (N, X) to (R, X) over each loss's rows."""
        parts = [part_nX.sum(dim=0) for part_nX in table_NX.split(self._counts)]
        rows = self._owners.by_loss(parts)
        return torch.stack([torch.zeros_like(parts[0]) if row is None else row for row in rows])
