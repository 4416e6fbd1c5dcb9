"""Fixed weights: a constant weight per source, in every layer and at every step."""

import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gradmix.mixing.gram import LayerStatistics
from gradmix.mixing.layers import Layer
from gradmix.mixing.sum import Sum

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class FixedWeights(Sum):
    """Back-propagate ``sum_i w_i loss_i`` with weights that are given.

    Args:
        layers, source_names, process_group: see `Sum`.
        weights: one per source, finite and not negative, at least one positive.
        target_weight: the weight of the target's loss, where it is given.

    Raises:
        ValueError: if a weight is out of range.
    """

    def __init__(
        self,
        layers: Sequence[Layer] | None = None,
        weights: Sequence[float] = (),
        *,
        target_weight: float = 1.0,
        source_names: Sequence[str] | None = None,
        process_group: "ProcessGroup | None" = None,
    ) -> None:
        super().__init__(layers, source_names=source_names, process_group=process_group)
        if not weights or max(weights) <= 0 or not all(0 <= w < math.inf for w in weights):
            raise ValueError(
                f"weights must be finite, not negative and not all 0, but got {list(weights)}"
            )
        if not 0 <= target_weight < math.inf:
            raise ValueError(
                f"target_weight must be finite and not negative, but got {target_weight}"
            )
        self.weights = [float(weight) for weight in weights]
        self.target_weight = float(target_weight)

    def stack_key(self) -> Hashable:
        """Stack with mixers of equal options and weights."""
        return (self.common_key(), tuple(self.weights), self.target_weight)

    def weigh(self, stats: LayerStatistics) -> Tensor:
        """Give each source its weight, and the target its own where its loss is given.

        Raises:
            ValueError: if there is another number of losses than of weights.
        """
        count = len(stats.sources)
        if count != len(self.weights):
            raise ValueError(f"{len(self.weights)} weights, but {count} source losses")
        weights = [*self.weights, self.target_weight]
        # Python numbers times tensors: nothing travels from the host.
        each = zip(weights, torch.ones_like(stats.losses_K).unbind(-1), strict=False)
        return torch.stack([w * one for w, one in each], dim=-1)[..., None, :]
