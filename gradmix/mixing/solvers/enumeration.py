"""All supports of a small problem at once: the best of 2^K - 1 candidate mixtures.

Shape suffixes: B layers, S supports, K sources, C columns still to be eliminated.
"""

from functools import lru_cache

import torch
from torch import Tensor

from gradmix.mixing.solvers.problem import mixture_values


@lru_cache(maxsize=64)
def _constants(sources: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Unit vectors (K, K); codes (S,) and bits (S, K) of supports of two or more, small ones first.

    Kept per device, because building them anew would copy from the host at every step.
    """
    codes = sorted(
        (code for code in range(2**sources) if code.bit_count() > 1),
        key=lambda code: (code.bit_count(), code),
    )
    bits = [[float(code >> i & 1) for i in range(sources)] for code in codes]
    return (
        torch.eye(sources, dtype=torch.float64, device=device),
        torch.tensor(codes, dtype=torch.int64, device=device),
        torch.tensor(bits, dtype=torch.float64, device=device).reshape(-1, sources),
    )


def best_of_all_supports(
    correlation_BKK: Tensor,
    cosine_BK: Tensor,
    active_BK: Tensor,
    *,
    cancellation: float,
    tie: float,
) -> Tensor:
    """Coefficients x >= 0 of the unit-norm columns that maximise c^T x / sqrt(x^T R x), shape (B, K).

    Every support S gives one candidate: the solution of R_SS x = c_S, or the source alone where
    |S| = 1. The maximiser is among them, also where every source opposes the target. Each candidate,
    its negative entries cut off, is a feasible mixture and is judged by its own value, so that
    ill-conditioned supports do no harm (`cancellation`: see `mixture_values`). Of the candidates
    within the relative distance `tie` of the best, the one with the fewest sources wins.

    The systems are solved by Gauss-Jordan elimination along the binary tree of supports: step k
    doubles them into those without and those with source k. Positive definite systems need no pivoting.
    """
    sources = cosine_BK.shape[-1]
    unit_KK, codes_S, bits_SK = _constants(sources, cosine_BK.device)
    mixtures_BSK = unit_KK * active_BK.unsqueeze(-1)
    if sources > 1:
        tableau_BSKC = torch.cat((correlation_BKK, cosine_BK.unsqueeze(-1)), -1).unsqueeze(1)
        for k in range(sources):
            column_BSK1, rest_BSKC = tableau_BSKC[..., :1], tableau_BSKC[..., 1:]
            row_BS1C = rest_BSKC[:, :, k : k + 1] / column_BSK1[:, :, k : k + 1]
            factor_BSK1 = unit_KK[:, k : k + 1] - column_BSK1
            swept_BSKC = torch.addcmul(rest_BSKC, factor_BSK1, row_BS1C)
            tableau_BSKC = torch.cat((rest_BSKC, swept_BSKC), 1)
        solutions_BSK = tableau_BSKC.squeeze(-1).index_select(1, codes_S) * bits_SK
        mixtures_BSK = torch.cat((mixtures_BSK, solutions_BSK.clamp_(min=0.0)), 1)

    value_BS = mixture_values(mixtures_BSK, correlation_BKK, cosine_BK, cancellation)
    best_B1 = value_BS.amax(-1, keepdim=True)
    near_BS = value_BS >= best_B1 - best_B1.abs() * tie
    # argmax returns the first of equals, and the candidates are ordered by the size of the support.
    choice_B11 = near_BS.to(torch.int8).argmax(-1, keepdim=True).unsqueeze(-1)
    return mixtures_BSK.gather(1, choice_B11.expand(-1, 1, sources)).squeeze(1)
