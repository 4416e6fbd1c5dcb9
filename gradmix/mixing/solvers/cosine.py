"""The cosine of a mixed gradient with the target gradient, from Gram numbers."""

import torch
from torch import Tensor

from gradmix.mixing.solvers.problem import cancellation_tolerance


@torch.no_grad()
def cosines(
    gram_LKK: Tensor, target_LK: Tensor, target_norm_L: Tensor, weights_LK: Tensor
) -> Tensor:
    """cos(sum_i w_i g_i, v) per layer, shape (L,), any leading dimensions; 0 where it is not defined.

    Args:
        gram_LKK: inner products <g_i, g_j>.
        target_LK: inner products <g_i, v>.
        target_norm_L: ||v|| per layer.
        weights_LK: mixing weights, of any scale.

    Not defined means: zero target, zero weights, zero gradients, or a mixture that cancels to less than the round-off
    of the Gram numbers. NaN and infinite inputs give NaN. Computed in float64 without waiting for the device; the
    result has the dtype of `gram_LKK`.
    """
    gram, target, norm = gram_LKK.double(), target_LK.double(), target_norm_L.double().unsqueeze(-1)
    source_norm_LK = gram.diagonal(dim1=-2, dim2=-1).sqrt()
    inverse_norm_LK = torch.where(source_norm_LK == 0.0, 0.0, source_norm_LK.reciprocal())
    parts_LK = weights_LK.double() * source_norm_LK
    largest_L1 = parts_LK.abs().amax(-1, keepdim=True)
    parts_LK = parts_LK / torch.where(largest_L1 == 0.0, 1.0, largest_L1)
    # Twice times 1/norm, not once times its square: entries of 1e300 and 1e-300 stay representable.
    correlation_LKK = gram * inverse_norm_LK.unsqueeze(-1) * inverse_norm_LK.unsqueeze(-2)
    square_L = torch.einsum("...i,...ij,...j->...", parts_LK, correlation_LKK, parts_LK)
    cosine_LK = target * inverse_norm_LK / torch.where(norm == 0.0, 1.0, norm)
    product_L = (parts_LK * cosine_LK).sum(-1)
    floor_L = cancellation_tolerance(gram_LKK.dtype) * parts_LK.abs().sum(-1).square()
    cosine_L = torch.where(square_L <= floor_L, 0.0, product_L * square_L.rsqrt())
    return cosine_L.clamp(-1.0, 1.0).to(gram_LKK.dtype)
