"""GradMix: layer-wise weights of largest cosine with the target gradient, and the adaptive learning rate.

J. Li, Z. Xu, Y. Wong, Q. Zhao, M. Kankanhalli, "GradMix: Multi-source Transfer across Domains and Tasks",
WACV 2020, arXiv 2002.03264.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor, nn

from gradmix.mixing.averages import MovingCosines
from gradmix.mixing.gram import LayerStatistics
from gradmix.mixing.layers import Layer
from gradmix.mixing.mixer import EtaOn, GradientMixer, LastLayer, Rho
from gradmix.mixing.solvers.exact import exact_weights

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

Solver = Literal["exact", "slsqp", "slsqp_layerwise"]


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
        rho: ``"scaled"``: 5 times the mean over the layers, so that beta and gamma keep their meaning for networks with
            other than the paper's 5 shared layers; ``"sum"`` over layers as in the paper, or ``"mean"``.
        average: weight of the past in moving averages of the gradients' cosines and norms, from which the weights then
            come, in [0, 1); 0, the paper: this step's gradients alone.
        heads, last_layer, eta_on, eta_on_heads, source_names, process_group: see `GradientMixer`.

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
        rho: Rho = "scaled",
        average: float = 0.0,
        heads: Sequence[Layer] | None = None,
        last_layer: LastLayer = "H1",
        eta_on: EtaOn = "lr",
        eta_on_heads: bool | None = None,
        source_names: Sequence[str] | None = None,
        process_group: "ProcessGroup | None" = None,
    ) -> None:
        super().__init__(
            layers,
            heads=heads,
            last_layer=last_layer,
            eta_on=eta_on,
            eta_on_heads=eta_on_heads,
            source_names=source_names,
            process_group=process_group,
        )
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
        self._averages = MovingCosines(average) if average else None

    def stack_key(self) -> Hashable | None:
        """Stack with mixers of equal options but beta and gamma; not with SLSQP or averages, which take one model."""
        if self.solver != "exact" or self._averages is not None:
            return None
        return (self.common_key(), self.adaptive_rate, self.rho)

    @classmethod
    def stack(cls, mixers: Sequence[Self], stacked: Mapping[nn.Parameter, Any]) -> Self:
        """Make one mixer of several models' (see `GradientMixer.stack`); each keeps its own beta and gamma."""
        one = super().stack(mixers, stacked)
        device = next(p for layer in one.layers for p in layer.parameters).device
        for name in ("beta", "gamma"):
            values = torch.tensor([getattr(mixer, name) for mixer in mixers], dtype=torch.float64)
            setattr(one, name, values.to(device))
        return one

    def rate(self, rho: Tensor) -> Tensor:
        """Compute eta by Eq. 9; 1 without the adaptive rate."""
        if not self.adaptive_rate:
            return super().rate(rho)
        return torch.sigmoid(self.beta * rho - self.gamma)

    def weigh(self, stats: LayerStatistics) -> Tensor:
        """Weigh by the chosen solver (Eq. 7); with ``"exact"`` and no averages, several models at once as well."""
        if self._averages is not None:
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
