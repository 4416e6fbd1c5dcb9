"""Per layer, the inner products of the source gradients with each other and with the target gradient.

Shapes: L layers, K sources, R = K + 1 rows (the sources, then the target), P parameters of all layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LayerStatistics:
    """All that a mixer may know of a step: small tensors, never a model or an image (float64, on the device).

    Attributes:
        gram_LKK: inner products of the source gradients, layer by layer.
        target_LK: inner products of the source gradients with the target gradient.
        target_norm_L: Euclidean norm of the target gradient.
        mask_LK: which source owns which layer (bool); heads are owned by the sources that use them.
        losses_K: the sources' losses.
        shared: how many of the L layers, the first ones, all domains share; the rest are heads.
    """

    gram_LKK: Tensor
    target_LK: Tensor
    target_norm_L: Tensor
    mask_LK: Tensor
    losses_K: Tensor
    shared: int


def gram(gradients_RP: Tensor, sizes: Sequence[int]) -> Tensor:
    """Inner products of all rows, layer by layer, accumulated in float64.

    float64 for two reasons: cosines near zero decide which sources are active, and squares of gradients from
    1e-15 to 1e15 leave the range of float32. It also keeps TF32 and bfloat16 matrix units out whatever the global
    precision settings say. Only one layer at a time is held in float64.

    Args:
        gradients_RP: the K source gradients and, last, the target gradient, flattened and concatenated.
        sizes: number of parameters of each layer; they sum to P.

    Returns:
        gram_LRR, float64, on the device of the gradients.
    """
    assert sum(sizes) == gradients_RP.shape[1]
    products = []
    for rows_Rp in gradients_RP.split(list(sizes), dim=1):
        rows_Rp = rows_Rp.to(torch.float64)
        products.append(rows_Rp @ rows_Rp.mT)
    return torch.stack(products)


def statistics(
    gradients_RP: Tensor, sizes: Sequence[int], mask_LK: Tensor, losses_K: Tensor, shared: int
) -> LayerStatistics:
    """The statistics of a step from its gradients (sources first, the target's row last)."""
    gram_LRR = gram(gradients_RP, sizes)
    return LayerStatistics(
        gram_LKK=gram_LRR[:, :-1, :-1],
        target_LK=gram_LRR[:, :-1, -1],
        target_norm_L=gram_LRR[:, -1, -1].sqrt(),
        mask_LK=mask_LK,
        losses_K=losses_K,
        shared=shared,
    )
