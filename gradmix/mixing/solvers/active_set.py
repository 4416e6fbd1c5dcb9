"""Many sources: the cosine maximiser by a batched active-set method on the Gram numbers.

Shape suffixes: B layers, K sources, C = K + 1 columns (the last one belongs to the target).
"""

import torch
from torch import Tensor

from gradmix.mixing.solvers.problem import may_read, mixture_values

# Lawson and Hanson's bound; random problems need one step per source of the support, and a few more.
STEPS_PER_SOURCE = 3


def best_by_active_set(
    correlation_BKK: Tensor,
    cosine_BK: Tensor,
    active_BK: Tensor,
    *,
    cancellation: float,
    tie: float,
) -> Tensor:
    """Coefficients x >= 0 of the unit-norm columns that maximise c^T x / sqrt(x^T R x), shape (B, K).

    Lawson and Hanson's method for non-negative least squares ("Solving Least Squares Problems", 1974,
    chapter 23) in Gram form: a source enters by the gain that it promises, sources leave where they
    would turn negative. Every layer makes its own choice in each of the common steps; a step sweeps one
    source of a layer into or out of the tableau [R c], which then holds the solution of the chosen
    sources and the gradients of the others. Only sources farther than round-off from the span of the
    chosen ones enter (the square of the distance is the pivot, `cancellation` its smallest value), so
    that rank-deficient problems end in a mixture of independent sources. The number of steps is fixed
    (3 K; most layers need fewer than K and then stand still), except on the CPU, where the loop ends
    with the last layer. Every iterate is feasible; the best one seen is returned, by the value that the
    Gram numbers give it, or the best single source if that is as good.
    """
    sources = cosine_BK.shape[-1]
    may_stop = may_read(cosine_BK)
    tableau_BKC = torch.cat((correlation_BKK, cosine_BK.unsqueeze(-1)), -1)
    diagonal_BK = tableau_BKC.diagonal(dim1=-2, dim2=-1)
    chosen_BK = torch.zeros_like(active_BK)
    barred_BK = ~active_BK
    mixture_BK = torch.zeros_like(cosine_BK)
    # The objective of least squares, c^T x at the solution of a set: it must rise from set to set.
    reached_B1 = torch.zeros_like(cosine_BK[:, :1])
    best = _BestSeen(correlation_BKK, cosine_BK, active_BK, cancellation)

    for _ in range(STEPS_PER_SOURCE * sources):
        goal_BK = tableau_BKC[..., -1]
        negative_BK = chosen_BK & (goal_BK <= 0.0)
        leaving_B1 = negative_BK.any(-1, keepdim=True)

        # Leaving: walk towards the goal until the first coefficient vanishes.
        ratio_BK = mixture_BK / (mixture_BK - goal_BK)
        ratio_BK = torch.where(negative_BK, torch.where(mixture_BK > 0.0, ratio_BK, 0.0), torch.inf)
        ratio_B1, first_B1 = ratio_BK.min(-1, keepdim=True)
        step_B1 = torch.where(leaving_B1, ratio_B1, 1.0)
        moved_BK = torch.lerp(mixture_BK, torch.where(chosen_BK, goal_BK, 0.0), step_B1)
        mixture_BK = moved_BK.clamp_(min=0.0)
        best.offer(mixture_BK)

        # Entering: the largest promised gain. A source that left without any gain stays barred until
        # there is one, so that round-off cannot make the method go round in circles.
        product_B1 = (cosine_BK * mixture_BK).sum(-1, keepdim=True)
        gained_B1 = ~leaving_B1 & (product_B1 > reached_B1 * (1.0 + 1e-15))
        reached_B1 = torch.where(gained_B1, product_B1, reached_B1)
        barred_BK = torch.where(gained_B1, ~active_BK, barred_BK)
        noise_B1 = 1e-15 * (1.0 + mixture_BK.sum(-1, keepdim=True))
        open_BK = (goal_BK > noise_B1) & (diagonal_BK > cancellation) & ~chosen_BK & ~barred_BK
        gain_BK = torch.where(open_BK, goal_BK * diagonal_BK.abs().rsqrt(), 0.0)
        gain_B1, enter_B1 = gain_BK.max(-1, keepdim=True)

        source_B1 = torch.where(leaving_B1, first_B1, enter_B1)
        moving_B1 = leaving_B1 | (gain_B1 > 0.0)
        if may_stop and not moving_B1.any():
            break
        still_B1 = ~moving_B1 & chosen_BK.gather(-1, source_B1)
        chosen_BK = chosen_BK.scatter(-1, source_B1, (~leaving_B1 & moving_B1) | still_B1)
        mixture_BK = mixture_BK.scatter(
            -1, source_B1, torch.where(leaving_B1, 0.0, mixture_BK.gather(-1, source_B1))
        )
        barred_BK = barred_BK | torch.zeros_like(barred_BK).scatter(
            -1, source_B1, leaving_B1 & (ratio_B1 == 0.0)
        )
        _sweep(tableau_BKC, source_B1, moving_B1, leaving_B1)

    for _ in range(2):
        # The tableau's errors grow with the number of sweeps; its inverse is good enough to remove them.
        image_BK = torch.matmul(correlation_BKK, mixture_BK.unsqueeze(-1)).squeeze(-1)
        residual_BK = torch.where(chosen_BK, cosine_BK - image_BK, 0.0)
        change_BK = torch.matmul(tableau_BKC[..., :-1], residual_BK.unsqueeze(-1)).squeeze(-1)
        mixture_BK = (mixture_BK - torch.where(chosen_BK, change_BK, 0.0)).clamp_(min=0.0)
        best.offer(mixture_BK)
    return best.or_single_source(tie)


class _BestSeen:
    """The best mixture so far of every layer, judged by the Gram numbers alone."""

    def __init__(
        self, correlation_BKK: Tensor, cosine_BK: Tensor, active_BK: Tensor, cancellation: float
    ):
        self.problem = correlation_BKK, cosine_BK, cancellation
        single_BK = torch.where(active_BK, cosine_BK, -torch.inf)
        self.single_B1, index_B1 = single_BK.max(-1, keepdim=True)
        self.one_hot_BK = torch.zeros_like(cosine_BK).scatter(-1, index_B1, 1.0)
        self.value_B1 = torch.full_like(self.single_B1, -torch.inf)
        self.mixture_BK = self.one_hot_BK

    def offer(self, mixture_BK: Tensor) -> None:
        value_B1 = mixture_values(mixture_BK.unsqueeze(1), *self.problem)
        # The value is flat at its maximum: of equals within round-off the later one is closer to it.
        better_B1 = value_B1 >= self.value_B1 - self.value_B1.abs() * 4e-15
        self.mixture_BK = torch.where(better_B1, mixture_BK, self.mixture_BK)
        self.value_B1 = torch.where(better_B1, value_B1, self.value_B1)

    def or_single_source(self, tie: float) -> Tensor:
        near_B1 = self.single_B1 >= self.value_B1 - self.value_B1.abs() * tie
        return torch.where(near_B1, self.one_hot_BK, self.mixture_BK)


def _sweep(tableau_BKC: Tensor, source_B1: Tensor, moving_B1: Tensor, leaving_B1: Tensor) -> None:
    """Sweep source k in (or out, where leaving) of every moving layer, in place.

    After sweeping in the set S the tableau holds -R_SS^-1 (rows and columns of S), R_SS^-1 R_SN and its
    transpose, R_NN - R_NS R_SS^-1 R_SN, and in the last column R_SS^-1 c_S and c_N - R_NS R_SS^-1 c_S.
    """
    sources, columns = tableau_BKC.shape[-2:]
    source_B11 = source_B1.unsqueeze(-1)
    in_column, in_row = source_B11.expand(-1, sources, 1), source_B11.expand(-1, 1, columns)
    column_BK1, row_B1C = tableau_BKC.gather(2, in_column), tableau_BKC.gather(1, in_row)
    pivot_B11 = row_B1C.gather(2, source_B11)
    moving_B11 = moving_B1.unsqueeze(-1)
    inverse_B11 = torch.where(moving_B11, pivot_B11.reciprocal(), 0.0)
    tableau_BKC.baddbmm_(column_BK1 * inverse_B11, row_B1C, alpha=-1.0)
    # Layers that stand still get their own row and column back.
    sign_B11 = torch.where(leaving_B1.unsqueeze(-1), -inverse_B11, inverse_B11)
    sign_B11 = torch.where(moving_B11, sign_B11, 1.0)
    new_pivot_B11 = torch.where(moving_B11, -inverse_B11, pivot_B11)
    tableau_BKC.scatter_(2, in_column, column_BK1 * sign_B11)
    tableau_BKC.scatter_(1, in_row, (row_B1C * sign_B11).scatter(2, source_B11, new_pivot_B11))
