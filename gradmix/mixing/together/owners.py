"""Which loss uses which part of a joint forward pass, in one backward pass.

Shapes: S parts (the inputs of the pass), R losses.
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
        """(S) to (R): a loss that uses several parts has the sum of their gradients."""
        rows: list[Tensor | None] = [None] * self.losses
        for row, part in zip(self.row_of_part, parts, strict=True):
            if row is not None and part is not None:
                old = rows[row]
                rows[row] = part if old is None else old + part
        return rows

    def factors(self, factors: Sequence[Tensor]) -> list[Tensor]:
        """(R) to (S): the factor of each part's gradient; 0 for rows without a factor."""
        zero = torch.zeros_like(factors[0])
        return [
            zero if row is None or row >= len(factors) else factors[row] for row in self.row_of_part
        ]
