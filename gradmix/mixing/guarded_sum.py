"""Guarded sum: pooled training in which a source that opposes the target is turned down, and none is turned up."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from gradmix.mixing.averages import MovingCosines
from gradmix.mixing.gram import LayerStatistics
from gradmix.mixing.layers import Layer
from gradmix.mixing.mixer import GradientMixer
from gradmix.mixing.solvers.exact import exact_weights

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

Per = Literal["layer", "source"]


class GuardedSum(GradientMixer):
    """``v^l + sum_i f_i^l g_i^l`` with factors ``f_i^l = min(1, K_l alpha_i^l)``; the rate is fixed.

    ``alpha^l`` solves GradMix's problem (Li et al. 2020, Eq. 6-7) for cosines alone: those of the K_l sources that own
    the layer with each other and with the target gradient v, averaged over steps. Norms do not enter, since a source
    that is learned by heart has a short gradient and would take the weight; and no factor exceeds 1, so that equal
    weights are exactly the plain sum of all losses. Where the target reaches a layer and no owner's averaged cosine
    with v is positive, all factors are 0; in a head that the target does not use they are 1.

    Args:
        layers: the shared layers, ``layers_of(net.backbone)``.
        average: weight of the past in the moving averages, in [0, 1), corrected at the start; 0: this step alone.
        per: ``"layer"``, or ``"source"``: inner products and norms are summed over the shared layers, and a source has
            one factor for all layers and heads.
        heads, source_names, process_group: see `GradientMixer`.

    Raises:
        ValueError: for an option out of range.
    """

    target_trains = True
    _averages: MovingCosines

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        average: float = 0.95,
        per: Per = "layer",
        heads: Sequence[Layer] | None = None,
        source_names: Sequence[str] | None = None,
        process_group: "ProcessGroup | None" = None,
    ) -> None:
        super().__init__(
            layers, heads=heads, source_names=source_names, process_group=process_group
        )
        if per not in ("layer", "source"):
            raise ValueError(f'per must be "layer" or "source", but got {per!r}')
        self.per = per
        self._averages = MovingCosines(average, corrected=True)
        self._guided: Tensor | None = None

    def weigh(self, stats: LayerStatistics) -> Tensor:
        """Give each source that owns a layer its factor, from the averages, this step included."""
        factors_LK = self._factors(stats if self.per == "layer" else _over_layers(stats))
        return factors_LK * stats.mask_LK

    def _factors(self, stats: LayerStatistics) -> Tensor:
        averaged = self._averages.update(stats)
        guided_L = stats.target_norm_L > 0
        if self._guided is not None:  # a target that is learned by heart still owns its layers
            guided_L = guided_L | self._guided
        self._guided = guided_L
        alpha_LK = exact_weights(averaged.angles_LKK, averaged.cosines_LK, mask_LK=stats.mask_LK)
        owners_L1 = stats.mask_LK.sum(dim=1, keepdim=True)
        helps_L1 = ((averaged.cosines_LK > 0) & stats.mask_LK).any(dim=1, keepdim=True)
        factors_LK = (owners_L1 * alpha_LK).clamp(max=1) * helps_L1
        return torch.where(guided_L[:, None], factors_LK, torch.ones_like(factors_LK))

    def state_dict(self) -> dict[str, Any]:
        """Add the moving averages, and which layers the target has reached."""
        guided = {} if self._guided is None else {"guided": self._guided}
        return {**super().state_dict(), **guided}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        self._guided = state.get("guided")


def _over_layers(stats: LayerStatistics) -> LayerStatistics:
    """Sum the statistics of the shared layers, as of one layer."""
    shared = slice(0, stats.shared)
    return replace(
        stats,
        gram_LKK=stats.gram_LKK[shared].sum(dim=0, keepdim=True),
        target_LK=stats.target_LK[shared].sum(dim=0, keepdim=True),
        target_norm_L=stats.target_norm_L[shared].square().sum(dim=0, keepdim=True).sqrt(),
        mask_LK=stats.mask_LK[shared].any(dim=0, keepdim=True),
        shared=1,
        layers=("all shared layers",),
    )
