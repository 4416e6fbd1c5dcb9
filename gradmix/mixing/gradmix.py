"""GradMix: layer-wise weights of largest cosine with the target gradient, and the adaptive learning rate.

J. Li, Z. Xu, Y. Wong, Q. Zhao, M. Kankanhalli, "GradMix: Multi-source Transfer across Domains and Tasks",
WACV 2020, arXiv 2002.03264.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from gradmix.mixing.averages import MovingCosines
from gradmix.mixing.gram import LayerStatistics
from gradmix.mixing.layers import Layer
from gradmix.mixing.mixer import GradientMixer
from gradmix.mixing.packed import PackedMixer, common
from gradmix.mixing.solvers.cosine import cosines
from gradmix.mixing.solvers.exact import exact_weights

Solver = Literal["exact", "slsqp", "slsqp_layerwise"]
Rho = Literal["sum", "mean", "scaled"]


class GradMix(GradientMixer):
    """Mix K source gradients so that, layer by layer, their sum points along the target gradient.

    For each shared layer l: ``w^l = argmax_{w >= 0} cos(sum_i w_i g_i^l, v^l)``, normalised to sum 1 (Eq. 4-7);
    ``rho = sum_l cos^l`` (Eq. 8); ``eta = sigmoid(beta rho - gamma)`` (Eq. 9); the update is
    ``eta * lr * sum_i w_i^l g_i^l`` (Eq. 10).

    Args:
        layers: the shared layers, ``layers_of(net.backbone)``.
        beta: slope of eta in rho; positive. The paper's best cell is 10.
        gamma: offset of eta. The paper's best cell is 0.6.
        adaptive_rate: ``False`` fixes eta at 1 ("GradMix w/o AdaLR").
        solver: ``"exact"``, or NLopt's SLSQP as in the paper: joint over layers (``"slsqp"``) or layer by layer
            (``"slsqp_layerwise"``); SLSQP runs on the host and waits for the device.
        rho: ``"sum"`` over layers as in the paper, ``"mean"``, or ``"scaled"``: 5 times the mean, so that beta and
            gamma keep their meaning for networks with other than the paper's 5 shared layers.
        average: weight of the past in moving averages of the gradients' cosines and norms, from which the weights then
            come, in [0, 1); 0, the paper: this step's gradients alone.
        options: see `GradientMixer` (heads, last_layer, eta_on, eta_on_heads, source_names).

    Raises:
        ValueError: for an option out of range.
    """

    beta: float | Tensor
    gamma: float | Tensor

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        beta: float = 10.0,
        gamma: float = 0.6,
        adaptive_rate: bool = True,
        solver: Solver = "exact",
        rho: Rho = "sum",
        average: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(layers, **options)
        if not beta > 0:
            raise ValueError(f"beta must be positive, but got {beta}")
        if solver not in ("exact", "slsqp", "slsqp_layerwise"):
            raise ValueError(
                f'solver must be "exact", "slsqp" or "slsqp_layerwise", got {solver!r}'
            )
        if rho not in ("sum", "mean", "scaled"):
            raise ValueError(f'rho must be "sum", "mean" or "scaled", but got {rho!r}')
        self.beta = beta
        self.gamma = gamma
        self.adaptive_rate = adaptive_rate
        self.solver = solver
        self.rho = rho
        self._averages = MovingCosines(average)

    def kind(self) -> tuple[Any, ...] | None:
        """What mixers have in common that can be one (`together`); ``None``: SLSQP and averages are of one model."""
        if self.solver != "exact" or self._averages.average:
            return None
        return (*common(self), self.adaptive_rate, self.rho)

    @staticmethod
    def together(mixers: "Sequence[GradMix]") -> PackedMixer:
        """The mixers of several models, of one kind, as one; beta and gamma are each model's own."""
        one = copy(mixers[0])
        device = next(p for layer in one.layers for p in layer.parameters).device
        for name in ("beta", "gamma"):
            values = torch.tensor([getattr(mixer, name) for mixer in mixers], dtype=torch.float64)
            setattr(one, name, values.to(device))
        return PackedMixer(one)

    def weigh(self, stats: LayerStatistics) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights by the chosen solver, and eta from the shared layers' cosines (Eq. 7-9).

        With ``"exact"`` and no averages, statistics may have leading dimensions, and beta and gamma may be tensors
        of these.
        """
        weights_LK = self._solve(stats)
        cosines_L = cosines(stats.gram_LKK, stats.target_LK, stats.target_norm_L, weights_LK)
        rho = cosines_L[..., : stats.shared].sum(-1)
        if self.rho != "sum":
            rho = rho * ((1 if self.rho == "mean" else 5) / stats.shared)
        eta = (
            torch.sigmoid(self.beta * rho - self.gamma)
            if self.adaptive_rate
            else torch.ones_like(rho)
        )
        return weights_LK, cosines_L, rho, eta

    def state(self) -> dict[str, Tensor]:
        """The moving averages, if there are any."""
        return self._averages.state()

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue where `state` was taken."""
        self._averages.load(state)

    def _solve(self, stats: LayerStatistics) -> Tensor:
        if self._averages.average:
            averaged = self._averages.update(stats)
            stats = replace(
                stats,
                gram_LKK=averaged.gram_LKK,
                target_LK=averaged.target_LK,
                target_norm_L=torch.ones_like(stats.target_norm_L),
            )
        if self.solver == "exact":
            return exact_weights(stats.gram_LKK, stats.target_LK, mask_LK=stats.mask_LK)
        from gradmix.mixing.solvers.slsqp import slsqp_weights

        return slsqp_weights(
            stats.gram_LKK,
            stats.target_LK,
            mask_LK=stats.mask_LK,
            joint=self.solver == "slsqp",
            target_norm_L=stats.target_norm_L,
        )
