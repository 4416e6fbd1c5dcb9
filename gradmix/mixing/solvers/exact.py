"""The weights that maximise the cosine with the target gradient, exactly, for all layers in one batched solve."""

import torch
from torch import Tensor

from gradmix.mixing.solvers.enumeration import best_of_all_supports
from gradmix.mixing.solvers.problem import cancellation_tolerance, standardise, to_weights


@torch.no_grad()
def exact_weights(gram_LKK: Tensor, target_LK: Tensor, *, mask_LK: Tensor | None = None) -> Tensor:
    """Weights w >= 0, summing to 1, that maximise cos(sum_i w_i g_i, v) in every layer (GradMix, Eq. 4-7).

    Args:
        gram_LKK: inner products <g_i, g_j> of the K source gradients per layer, any leading dimensions.
        target_LK: inner products <g_i, v> with the target gradient.
        mask_LK: True where source i owns parameters of the layer (default: everywhere). Entries of other
            sources are ignored and their weights are 0.

    Returns:
        weights_LK in the dtype and on the device of `gram_LKK`; the computation is in float64 and, off the CPU,
        never waits for the device.

    The maximum is found among the solutions of the active sets (non-negative least squares in Gram form), or it
    is the least opposed single source where every source opposes the target. The paper's SLSQP solves the same
    problem approximately. Where several mixtures give the same direction, one with few sources is returned.
    Degenerate layers: a zero gradient excludes its source; all gradients zero: uniform over the owners; zero target
    (or one that is orthogonal to all sources): uniform over the sources with a gradient; no owner: zeros.

    Raises:
        ValueError: shapes or dtypes do not fit; NaN or infinity in CPU tensors (layer and source are named).
            On other devices the weights of such a layer are NaN.
    """
    problem = standardise(gram_LKK, target_LK, mask_LK)
    coefficients_BK = best_of_all_supports(
        problem.correlation_BKK,
        problem.cosine_BK,
        problem.active_BK,
        cancellation=cancellation_tolerance(problem.dtype),
        # A relative loss t of cosine turns the direction by at most sqrt(2 t): 4.5e-7 in float64.
        tie=max(1e-13, 8.0 * torch.finfo(problem.dtype).eps),
    )
    return to_weights(problem, coefficients_BK)
