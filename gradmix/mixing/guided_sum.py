"""Guided sum: pooled training whose sources are weighed, layer by layer, by their agreement with the target.

GradMix read literally never trains on the target's labels, and weighs by one mini-batch's gradients, most of whose
cosines are noise. Here the target trains too, and weights come from averages over steps.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gradmix.mixing.gram import LayerStatistics
from gradmix.mixing.layers import Layer
from gradmix.mixing.mixer import GradientMixer
from gradmix.mixing.solvers.cosine import cosines
from gradmix.mixing.solvers.exact import exact_weights

_TINY = 1e-30


class GuidedSum(GradientMixer):
    """``K sum_i w_i^l g_i^l + v^l`` with the weights of largest cosine, from averaged statistics.

    The weights solve GradMix's problem (Li et al. 2020, Eq. 6-7) for moving averages of the gradients' cosines and
    norms. They sum to 1; times the number K of sources that own the layer, the step is as long as that of the
    plain sum of all losses, which equal weights give exactly. The rate is fixed.

    Args:
        layers: the shared layers, ``layers_of(net.backbone)``.
        average: weight of the past in the moving averages, in [0, 1); 0: this step's gradients alone.
        trust: in [0, 1]; weights are ``trust * w + (1 - trust) / K``: 0 is the plain sum.
        options: see `GradientMixer` (heads, source_names).

    Raises:
        ValueError: for an option out of range.
    """

    target_trains = True
    sum_length = True

    def __init__(
        self, layers: Sequence[Layer], *, average: float = 0.95, trust: float = 1.0, **options: Any
    ) -> None:
        super().__init__(layers, **options)
        if not 0 <= average < 1:
            raise ValueError(f"average must be in [0, 1), but got {average}")
        if not 0 <= trust <= 1:
            raise ValueError(f"trust must be in [0, 1], but got {trust}")
        self.average = average
        self.trust = trust
        self._kept: dict[str, Tensor] = {}

    def weigh(self, stats: LayerStatistics) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights from the averages; cosines of this step's mixture."""
        norms_LK = stats.gram_LKK.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
        pairs_LKK = norms_LK[:, :, None] * norms_LK[:, None, :]
        angles_LKK = stats.gram_LKK / pairs_LKK.clamp(min=_TINY)
        target_LK = stats.target_LK / (norms_LK * stats.target_norm_L[:, None]).clamp(min=_TINY)
        norms_LK = self._averaged("norms", norms_LK)
        angles_LKK = self._averaged("angles", angles_LKK)
        target_LK = self._averaged("target", target_LK)
        gram_LKK = angles_LKK * norms_LK[:, :, None] * norms_LK[:, None, :]
        weights_LK = exact_weights(gram_LKK, target_LK * norms_LK, mask_LK=stats.mask_LK)
        owners_L1 = stats.mask_LK.sum(dim=1, keepdim=True).clamp(min=1)
        equal_LK = stats.mask_LK / owners_L1
        weights_LK = self.trust * weights_LK + (1 - self.trust) * equal_LK
        cosines_L = cosines(stats.gram_LKK, stats.target_LK, stats.target_norm_L, weights_LK)
        rho = cosines_L[: stats.shared].sum()
        return weights_LK, cosines_L, rho, torch.ones_like(rho)

    def state(self) -> dict[str, Tensor]:
        """The moving averages."""
        return dict(self._kept)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue where `state` was taken."""
        self._kept = dict(state)

    def _averaged(self, name: str, value: Tensor) -> Tensor:
        # A value that is not finite is left out: one bad step, which `check` tells, must not stay in the averages.
        old = self._kept.get(name)
        mean = value if old is None else torch.lerp(value, old, self.average)
        if old is not None:
            mean = torch.where(mean.isfinite(), mean, old)
        self._kept[name] = mean
        return mean
