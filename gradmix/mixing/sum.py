"""Sum: plain SGD over all sources (Li et al. 2020, Eq. 1), the paper's reading of source-only training."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gradmix.mixing.gram import LayerStatistics
from gradmix.mixing.layers import Layer
from gradmix.mixing.mixer import GradientMixer

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class Sum(GradientMixer):
    """Back-propagate the sum of all losses, the target's included where it is given: pooled training.

    Args:
        layers: for `MixedStep` alone.
        source_names: see `GradientMixer`.
        process_group: see `GradientMixer`.
    """

    needs = "losses"

    def __init__(
        self,
        layers: Sequence[Layer] | None = None,
        *,
        source_names: Sequence[str] | None = None,
        process_group: "ProcessGroup | None" = None,
    ) -> None:
        super().__init__(layers, source_names=source_names, process_group=process_group)

    def stack_key(self) -> Hashable:
        """What mixers that `stack` makes one have in common."""
        return self.common_key()

    def weigh(self, stats: LayerStatistics) -> Tensor:
        """1 each."""
        return torch.ones_like(stats.losses_K)[..., None, :]
