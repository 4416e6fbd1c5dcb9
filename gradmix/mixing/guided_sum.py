"""Guided sum: pooled training that weighs sources, layer by layer, by their agreement with the target.

GradMix read literally never trains on the target's labels, and weighs by one mini-batch's gradients, most of whose
cosines are noise. Here the target trains too, and weights come from averages over steps.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from gradmix.mixing.averages import MovingCosines
from gradmix.mixing.gram import LayerStatistics
from gradmix.mixing.layers import Layer
from gradmix.mixing.mixer import GradientMixer
from gradmix.mixing.solvers.exact import exact_weights

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class GuidedSum(GradientMixer):
    """``K sum_i w_i^l g_i^l + v^l`` with the weights of largest cosine, from averaged statistics.

    The weights solve GradMix's problem (Li et al. 2020, Eq. 6-7) for moving averages of the gradients' cosines and
    norms. They sum to 1; times the number K of sources that own the layer, the step is as long as that of the
    plain sum of all losses, which equal weights give exactly. The rate is fixed.

    Args:
        layers: the shared layers, ``layers_of(net.backbone)``.
        average: weight of the past in the moving averages, in [0, 1); 0: this step's gradients alone.
        trust: in [0, 1]; weights are ``trust * w + (1 - trust) / K``: 0 is the plain sum.
        heads, source_names, process_group: see `GradientMixer`.

    Raises:
        ValueError: for an option out of range.
    """

    target_trains = True
    _averages: MovingCosines
    sum_length = True

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        average: float = 0.95,
        trust: float = 1.0,
        heads: Sequence[Layer] | None = None,
        source_names: Sequence[str] | None = None,
        process_group: "ProcessGroup | None" = None,
    ) -> None:
        super().__init__(
            layers, heads=heads, source_names=source_names, process_group=process_group
        )
        if not 0 <= trust <= 1:
            raise ValueError(f"trust must be in [0, 1], but got {trust}")
        self.trust = trust
        self._averages = MovingCosines(average)

    def weigh(self, stats: LayerStatistics) -> Tensor:
        """Weigh by the averages, this step included, and blend with equal weights by `trust`."""
        averaged = self._averages.update(stats)
        weights_LK = exact_weights(averaged.gram_LKK, averaged.target_LK, mask_LK=stats.mask_LK)
        owners_L1 = stats.mask_LK.sum(dim=1, keepdim=True).clamp(min=1)
        equal_LK = stats.mask_LK / owners_L1
        return self.trust * weights_LK + (1 - self.trust) * equal_LK
