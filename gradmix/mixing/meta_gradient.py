"""GradMix SGD: weights by one step of gradient descent on the target loss (Ren et al. 2018, at source level).

M. Ren, W. Zeng, B. Yang, R. Urtasun, "Learning to Reweight Examples for Robust Deep Learning", ICML 2018.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor

from gradmix.mixing.gram import LayerStatistics
from gradmix.mixing.layers import Layer
from gradmix.mixing.mixer import GradientMixer
from gradmix.mixing.packed import PackedMixer, common
from gradmix.mixing.solvers.cosine import cosines


class MetaGradient(GradientMixer):
    """Weigh each source by how fast a step along its gradient lowers the target loss.

    From ``w = 0``, the target loss after a virtual step, ``f_V(theta - alpha sum_i w_i g_i)``, changes with
    ``w_i^l`` at the rate ``-alpha <g_i^l, v^l>``. Hence one meta-gradient step, cut at 0 and normalised per layer:
    ``w_i^l = max(0, <g_i^l, v^l>) / sum_j max(0, <g_j^l, v^l>)``; a layer that no source helps stays as it is. The
    sources' inner products with each other do not enter, and eta is 1.

    Args:
        layers: the shared layers, ``layers_of(net.backbone)``.
        options: see `GradientMixer` (heads, last_layer, source_names).
    """

    def __init__(self, layers: Sequence[Layer], **options: Any) -> None:
        super().__init__(layers, **options)

    def kind(self) -> tuple[Any, ...]:
        """What mixers have in common that can be one (`together`)."""
        return common(self)

    @staticmethod
    def together(mixers: "Sequence[MetaGradient]") -> PackedMixer:
        """The mixers of several models, of one kind, as one."""
        return PackedMixer(copy(mixers[0]))

    def weigh(self, stats: LayerStatistics) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights from the inner products with the target gradient alone; statistics may have leading dimensions."""
        helps_LK = stats.target_LK.clamp(min=0) * stats.mask_LK
        total_L1 = helps_LK.sum(dim=-1, keepdim=True)
        weights_LK = helps_LK / torch.where(total_L1 > 0, total_L1, torch.ones_like(total_L1))
        # A head that the target does not use has no inner products; its sources train it alike.
        alone_LK = stats.mask_LK / stats.mask_LK.sum(dim=-1, keepdim=True).clamp(min=1)
        unused_L1 = (stats.target_norm_L == 0)[..., None]
        unused_L1 = (
            unused_L1
            & (torch.arange(helps_LK.shape[-2], device=helps_LK.device) >= stats.shared)[:, None]
        )
        weights_LK = torch.where(unused_L1, alone_LK.to(weights_LK.dtype), weights_LK)
        cosines_L = cosines(stats.gram_LKK, stats.target_LK, stats.target_norm_L, weights_LK)
        rho = cosines_L[..., : stats.shared].sum(-1)
        return weights_LK, cosines_L, rho, torch.ones_like(rho)
