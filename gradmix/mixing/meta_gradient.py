"""GradMix SGD: weights by one step of gradient descent on the target loss (Ren et al. 2018, at source level).

M. Ren, W. Zeng, B. Yang, R. Urtasun, "Learning to Reweight Examples for Robust Deep Learning", ICML 2018.
"""

from collections.abc import Hashable

import torch
from torch import Tensor

from gradmix.mixing.gram import LayerStatistics
from gradmix.mixing.mixer import GradientMixer


class MetaGradient(GradientMixer):
    """Weigh each source by how fast a step along its gradient lowers the target loss.

    From ``w = 0``, the target loss after a virtual step, ``f_V(theta - alpha sum_i w_i g_i)``, changes with
    ``w_i^l`` at the rate ``-alpha <g_i^l, v^l>``. Hence one meta-gradient step, cut at 0 and normalised per layer:
    ``w_i^l = max(0, <g_i^l, v^l>) / sum_j max(0, <g_j^l, v^l>)``; a layer that no source helps stays as it is. The
    sources' inner products with each other do not enter, and eta is 1.

    Takes the arguments of `GradientMixer`.
    """

    def stack_key(self) -> Hashable:
        """Stack with mixers of equal options."""
        return self.common_key()

    def weigh(self, stats: LayerStatistics) -> Tensor:
        """Weigh by the inner products with the target gradient alone; statistics may have leading dimensions."""
        helps_LK = stats.target_LK.clamp(min=0) * stats.mask_LK
        total_L1 = helps_LK.sum(dim=-1, keepdim=True)
        weights_LK = helps_LK / torch.where(total_L1 > 0, total_L1, torch.ones_like(total_L1))
        # A head that the target does not use has no inner products; its sources train it alike.
        alone_LK = stats.mask_LK / stats.mask_LK.sum(dim=-1, keepdim=True).clamp(min=1)
        is_head_L = torch.arange(helps_LK.shape[-2], device=helps_LK.device) >= stats.shared
        unused_L = (stats.target_norm_L == 0) & is_head_L
        return torch.where(unused_L[..., None], alone_LK.to(weights_LK.dtype), weights_LK)
