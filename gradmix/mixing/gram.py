"""Per layer, the inner products of the source gradients with each other and with the target gradient.

Shapes: L layers, K sources, R = K + 1 rows (the sources, then the target). Of several models at once, Gram numbers and
losses have the models in front.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LayerStatistics:
    """Holds all that a mixer may know of a step: small tensors, never a model or an image (float64, on the device).

    Attributes:
        gram_LKK: inner products of the source gradients, layer by layer.
        target_LK: inner products of the source gradients with the target gradient.
        target_norm_L: Euclidean norm of the target gradient.
        mask_LK: which source owns which layer (bool); heads are owned by the sources that use them.
        losses_K: the sources' losses.
        shared: how many of the L layers, the first ones, all domains share; the rest are heads.
        layers: names of the L layers.
        sources: names of the K sources.

    What a mixer does not need (`GradientMixer.needs`) is NaN.
    """

    gram_LKK: Tensor
    target_LK: Tensor
    target_norm_L: Tensor
    mask_LK: Tensor
    losses_K: Tensor
    shared: int
    layers: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def statistics(
    gram_LRR: Tensor,
    mask_LK: Tensor,
    losses_K: Tensor,
    shared: int,
    layers: Sequence[str] = (),
    sources: Sequence[str] = (),
) -> LayerStatistics:
    """Take a step's statistics from the inner products of all its gradients (the target's row last)."""
    return LayerStatistics(
        gram_LKK=gram_LRR[..., :-1, :-1],
        target_LK=gram_LRR[..., :-1, -1],
        target_norm_L=gram_LRR[..., -1, -1].sqrt(),
        mask_LK=mask_LK,
        losses_K=losses_K,
        shared=shared,
        layers=tuple(layers),
        sources=tuple(sources),
    )
