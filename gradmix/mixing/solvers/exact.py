"""The weights that maximise the cosine with the target gradient, exactly, for all layers in one solve."""

import torch
from torch import Tensor

from gradmix.mixing.solvers.active_set import best_by_active_set
from gradmix.mixing.solvers.enumeration import best_of_all_supports
from gradmix.mixing.solvers.problem import (
    cancellation_tolerance,
    standardise,
    tie_tolerance,
    to_weights,
)

# Where the 2^K - 1 supports begin to cost more than the serial steps of the active-set method: 62 layers on
# one processor thread took 3.1 and 3.2 ms at K = 8, 13 and 4.7 ms at K = 9.
LARGEST_ENUMERATED = 8


@torch.no_grad()
def exact_weights(gram_LKK: Tensor, target_LK: Tensor, *, mask_LK: Tensor | None = None) -> Tensor:
    """Weights w >= 0, summing to 1, that maximise cos(sum_i w_i g_i, v) in every layer.

    This is Eq. 4-7 of the GradMix paper (arXiv 2002.03264), whose sum over layers separates, and whose
    solver is SLSQP. Here the maximum is found among the solutions of the active sets (it is the
    non-negative least-squares solution), or is the least opposed single source where every source
    opposes the target. Where several mixtures give the same direction, one of few sources is returned.

    Args:
        gram_LKK: inner products <g_i, g_j> of the K source gradients, any leading dimensions.
        target_LK: inner products <g_i, v> with the target gradient.
        mask_LK: True where source i owns parameters of the layer (default: everywhere). Entries of
            other sources are ignored and their weights are 0.

    Returns:
        weights_LK in the dtype and on the device of `gram_LKK`. The computation is in float64 and,
        off the CPU, never waits for the device.

    Degenerate layers: a source with zero gradient is excluded; all gradients zero: uniform over the
    owners; target zero, or orthogonal to all sources: uniform over the sources with a gradient; no
    owner: zeros.

    Raises:
        ValueError: shapes or dtypes do not fit; NaN or infinity in CPU tensors (layer and source are
            named). On other devices the weights of such a layer are NaN.
    """
    problem = standardise(gram_LKK, target_LK, mask_LK)
    small = gram_LKK.shape[-1] <= LARGEST_ENUMERATED
    solve = best_of_all_supports if small else best_by_active_set
    mixture_BK = solve(
        problem.correlation_BKK,
        problem.cosine_BK,
        problem.active_BK,
        cancellation=cancellation_tolerance(problem.dtype),
        tie=tie_tolerance(problem.dtype),
    )
    return to_weights(problem, mixture_BK)
