"""Fixed weights: a constant weight per source, in every layer and at every step."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gradmix.mixing.sum import Sum


class FixedWeights(Sum):
    """Back-propagate ``sum_i w_i loss_i`` with weights that are given.

    Args:
        weights: one per source, finite and not negative, at least one positive.
        options: see `Sum` (source_names, process_group).

    Raises:
        ValueError: if a weight is out of range.
    """

    def __init__(self, weights: Sequence[float], **options: Any) -> None:
        super().__init__(**options)
        if not weights or max(weights) <= 0 or not all(0 <= w < math.inf for w in weights):
            raise ValueError(
                f"weights must be finite, not negative and not all 0, but got {list(weights)}"
            )
        self.weights = [float(weight) for weight in weights]

    def kind(self) -> tuple[Any, ...]:
        """What mixers have in common that can be one (`together`)."""
        return (*super().kind(), tuple(self.weights))

    def combine(self, losses_K: Tensor) -> Tensor:
        """The weighted sum.

        Raises:
            ValueError: if there is another number of losses than of weights.
        """
        if len(losses_K) != len(self.weights):
            raise ValueError(f"{len(self.weights)} weights, but {len(losses_K)} source losses")
        # Python numbers times tensors: nothing travels from the host.
        return torch.stack([w * loss for w, loss in zip(self.weights, losses_K, strict=True)]).sum()
