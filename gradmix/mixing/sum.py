"""Sum: plain SGD over all sources (Li et al. 2020, Eq. 1), the paper's reading of source-only training."""

from collections.abc import Hashable

import torch
from torch import Tensor

from gradmix.mixing.gram import LayerStatistics
from gradmix.mixing.mixer import GradientMixer


class Sum(GradientMixer):
    """Back-propagate the sum of all losses, the target's included where it is given: pooled training.

    Takes the arguments of `GradientMixer`, of which layers, if given, are for `MixedStep` alone.
    """

    needs = "losses"

    def stack_key(self) -> Hashable:
        """Stack with mixers of equal options."""
        return self.common_key()

    def weigh(self, stats: LayerStatistics) -> Tensor:
        """Give every loss the weight 1."""
        return torch.ones_like(stats.losses_K)[..., None, :]
