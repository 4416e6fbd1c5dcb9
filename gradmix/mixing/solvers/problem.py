"""The per-layer problem in standard form: input checks, unit-norm columns, and the way back to weights.

Shape suffixes: B layers of all leading dimensions together, L layers, K sources.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# A mixed gradient whose squared norm is below this many round-offs of (sum_i w_i ||g_i||)^2 is nothing but cancellation.
CANCELLATION_ROUND_OFFS = 64.0


def cancellation_tolerance(dtype: torch.dtype) -> float:
    """Smallest ||Gw||^2 / (sum_i w_i ||g_i||)^2 that Gram numbers of this dtype can tell from zero."""
    return CANCELLATION_ROUND_OFFS * torch.finfo(dtype).eps


@dataclass(frozen=True)
class Problem:
    """Layers in standard form, float64; a scale of a source or of the target changes nothing in it.

    `correlation_BKK` holds cos(g_i, g_j) (identity rows for excluded sources), `cosine_BK` holds cos(g_i, v)
    divided by its largest magnitude in the layer (0 for excluded sources and for a zero target).
    `inverse_norm_BK` is 1/||g_i|| (0 if excluded), `active_BK` marks sources that own the layer and have a
    gradient, `owner_BK` those that own it. `poison_B` is 0, or NaN where an owned input is not finite.
    """

    correlation_BKK: Tensor
    cosine_BK: Tensor
    inverse_norm_BK: Tensor
    active_BK: Tensor
    owner_BK: Tensor | None
    poison_B: Tensor
    dtype: torch.dtype
    shape: torch.Size


def standardise(gram_LKK: Tensor, target_LK: Tensor, mask_LK: Tensor | None) -> Problem:
    """Check the inputs and bring them into standard form.

    Raises ValueError for wrong shapes or dtypes and, for tensors on the CPU, for NaN or infinite entries
    (naming layer and source). On other devices nothing is read back: `poison_B` carries the fact.
    """
    if not gram_LKK.is_floating_point():
        raise ValueError(f"gram must be a floating-point tensor, but its dtype is {gram_LKK.dtype}")
    sources = gram_LKK.shape[-1] if gram_LKK.dim() >= 2 else 0
    if sources == 0 or gram_LKK.shape[-2] != sources:
        raise ValueError(f"gram must have shape (..., K, K) with K >= 1, but has {tuple(gram_LKK.shape)}")
    if target_LK.shape != gram_LKK.shape[:-1]:
        raise ValueError(
            f"target must have shape {tuple(gram_LKK.shape[:-1])} to match gram, but has {tuple(target_LK.shape)}"
        )
    gram_BKK = gram_LKK.detach().to(torch.float64).reshape(-1, sources, sources)
    target_BK = target_LK.detach().to(torch.float64).reshape(-1, sources)
    owner_BK: Tensor | None = None
    if mask_LK is not None:
        if mask_LK.dtype != torch.bool:
            raise ValueError(f"mask must be a boolean tensor, but its dtype is {mask_LK.dtype}")
        try:
            owner_BK = mask_LK.expand(target_LK.shape).reshape(-1, sources)
        except RuntimeError:
            raise ValueError(
                f"mask must broadcast to {tuple(target_LK.shape)}, but has shape {tuple(mask_LK.shape)}"
            ) from None
        # What a source that does not own the layer left in the Gram numbers must not matter, NaN included.
        gram_BKK = torch.where(owner_BK.unsqueeze(-1) & owner_BK.unsqueeze(-2), gram_BKK, 0.0)
        target_BK = torch.where(owner_BK, target_BK, 0.0)

    # 0 * finite = 0 and 0 * (NaN or infinity) = NaN; unlike a plain sum this cannot overflow.
    poison_B = (torch.cat((gram_BKK, target_BK.unsqueeze(-2)), -2) * 0.0).sum((-2, -1))
    if gram_LKK.device.type == "cpu" and math.isnan(poison_B.sum().item()):
        raise ValueError(_name_the_fault(gram_BKK, target_BK, target_LK.shape))

    square_BK = gram_BKK.diagonal(dim1=-2, dim2=-1)
    active_BK = square_BK > 0.0
    inverse_norm_BK = torch.where(active_BK, square_BK.rsqrt(), 0.0)
    # Twice times 1/norm, not once times its square: Gram entries of 1e300 and 1e-300 stay representable.
    correlation_BKK = gram_BKK * inverse_norm_BK.unsqueeze(-1) * inverse_norm_BK.unsqueeze(-2)
    # The diagonal is one by definition: no round-off there, and identity rows for excluded sources.
    correlation_BKK.diagonal(dim1=-2, dim2=-1).fill_(1.0)
    cosine_BK = target_BK * inverse_norm_BK
    largest_B1 = cosine_BK.abs().amax(-1, keepdim=True)
    cosine_BK = cosine_BK / torch.where(largest_B1 > 0.0, largest_B1, 1.0)
    return Problem(
        correlation_BKK, cosine_BK, inverse_norm_BK, active_BK, owner_BK, poison_B, gram_LKK.dtype, target_LK.shape
    )


def to_weights(problem: Problem, coefficients_BK: Tensor) -> Tensor:
    """Weights (sum 1 over the sources, 0 for excluded ones) from coefficients of the unit-norm columns.

    Degenerate layers: no source has a gradient -> uniform over the owners; the target's products with all
    sources are zero -> uniform over the sources with a gradient; no owner -> zeros. Rows with NaN or infinite
    input are NaN. The result has the dtype and leading shape of the inputs.
    """
    weights_BK = coefficients_BK * problem.inverse_norm_BK
    usable_B1 = ((problem.cosine_BK != 0.0) & problem.active_BK).any(-1, keepdim=True)
    weights_BK = torch.where(usable_B1, weights_BK, problem.active_BK.to(torch.float64))
    nothing_B1 = ~problem.active_BK.any(-1, keepdim=True)
    owner_BK = 1.0 if problem.owner_BK is None else problem.owner_BK.to(torch.float64)
    weights_BK = torch.where(nothing_B1, owner_BK, weights_BK)
    total_B1 = weights_BK.sum(-1, keepdim=True)
    weights_BK = weights_BK / torch.where(total_B1 == 0.0, 1.0, total_B1) + problem.poison_B.unsqueeze(-1)
    return weights_BK.to(problem.dtype).reshape(problem.shape)


def _name_the_fault(gram_BKK: Tensor, target_BK: Tensor, shape: torch.Size) -> str:
    """First layer with a NaN or infinite entry and whose gradient it is (host code, CPU only)."""
    bad_BKK, bad_BK = ~gram_BKK.isfinite(), ~target_BK.isfinite()
    flat = int((bad_BKK.any(-1).any(-1) | bad_BK.any(-1)).nonzero()[0, 0])
    index = [int(i) for i in torch.unravel_index(torch.tensor(flat), shape[:-1])] if len(shape) > 1 else []
    place = f"layer {index[-1]}" if index else "the layer"
    if len(index) > 1:
        place += f" of batch index {tuple(index[:-1])}"
    sources = bad_BKK[flat].diagonal().nonzero().flatten().tolist()
    if not sources:
        sources = bad_BKK[flat].any(-1).nonzero().flatten().tolist()
    if sources:
        return f"NaN or infinite gradient: source {', '.join(map(str, sources))} in {place}"
    sources = bad_BK[flat].nonzero().flatten().tolist()
    return (
        f"NaN or infinite gradient: the target's product with source {', '.join(map(str, sources))} in {place}"
        " (the sources' own gradients are finite there)"
    )
