"""The report of one step, for logs and curves."""

from dataclasses import dataclass

from torch import Tensor

from gradmix.mixing.arguments import TARGET
from gradmix.mixing.finite import FiniteCheck, NonFiniteGradientError


@dataclass(frozen=True)
class MixedStep:
    """What a mixer did in one step, as tensors on the device (L shared layers, K sources, H heads).

    What a mixer does not compute (`GradientMixer.needs`) is NaN. For several models at once, all tensors have
    the models in front.

    Attributes:
        weights_LK: weight of each source in each shared layer.
        cosines_L: cosine of the mixed gradient with the target gradient, layer by layer.
        rho: importance of the mini-batch, the sum of the cosines (Eq. 8); scalar.
        eta: factor of the learning rate (Eq. 9); scalar in (0, 1), 1 without the adaptive rate.
        head_weights_HK: weight of each source in each head; 0 where a source does not use the head.
        target_norm_L: norm of the target gradient.
        source_norms_LK: norms of the source gradients.
        finite: which gradients are neither NaN nor Inf: rows are layers and heads, columns sources and the target; of
            a mixer that needs only losses, one row of losses.
        sources: names of the sources.
        layers: names of the shared layers.
        heads: names of the heads.
    """

    weights_LK: Tensor
    cosines_L: Tensor
    rho: Tensor
    eta: Tensor
    head_weights_HK: Tensor
    target_norm_L: Tensor
    source_norms_LK: Tensor
    finite: Tensor
    sources: tuple[str, ...]
    layers: tuple[str, ...]
    heads: tuple[str, ...]

    def fault(self, step: int, finite_LR: Tensor) -> str | None:
        """Say what is wrong with one of several models, by its part of `finite` (on the CPU); ``None``: nothing."""
        try:
            FiniteCheck().submit(
                step, finite_LR, [*self.layers, *self.heads], [*self.sources, TARGET]
            )
        except NonFiniteGradientError as error:
            return str(error)
        return None
