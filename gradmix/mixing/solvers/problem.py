"""The per-layer problem in standard form: input checks, unit-norm columns, and the way back to weights.

Shape suffixes: B layers of all leading dimensions together, L layers, K sources, S candidate mixtures.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# A mixture whose squared norm is below this many round-offs of (sum_i w_i ||g_i||)^2 is nothing
# but cancellation.
CANCELLATION_ROUND_OFFS = 64.0


def cancellation_tolerance(dtype: torch.dtype) -> float:
    """Smallest ||Gw||^2 / (sum_i w_i ||g_i||)^2 that Gram numbers of this dtype tell from zero."""
    return CANCELLATION_ROUND_OFFS * torch.finfo(dtype).eps


def tie_tolerance(dtype: torch.dtype) -> float:
    """Relative difference of cosines below which the mixture of fewer sources is preferred.

    A relative loss t of the cosine turns the direction by at most sqrt(2 t): 4.5e-7 in float64.
    """
    return max(1e-13, 8.0 * torch.finfo(dtype).eps)


def may_read(tensor: Tensor) -> bool:
    """Whether values of the tensor can be looked at for free: on the CPU, not on devices."""
    return tensor.device.type == "cpu"


@dataclass(frozen=True)
class Problem:
    """Layers in standard form, float64: the scales of sources and target have been divided out.

    `correlation_BKK` holds cos(g_i, g_j), with identity rows for excluded sources; `cosine_BK` holds
    cos(g_i, v) over its largest magnitude in the layer, `largest_B1` (that of <g_i, v> / ||g_i||), and
    is 0 for excluded sources. `inverse_norm_BK` is 1/||g_i||, 0 for excluded sources. `active_BK`
    marks the sources that own the layer and have a gradient, `owner_BK` those that own it (None: all).
    `poison_B1` is 0, or NaN where an owned input is not finite; None where that has been ruled out.
    """

    correlation_BKK: Tensor
    cosine_BK: Tensor
    largest_B1: Tensor
    inverse_norm_BK: Tensor
    active_BK: Tensor
    owner_BK: Tensor | None
    poison_B1: Tensor | None
    dtype: torch.dtype
    shape: torch.Size


def standardise(gram_LKK: Tensor, target_LK: Tensor, mask_LK: Tensor | None) -> Problem:
    """Check the inputs and bring them into standard form.

    Raises ValueError for wrong shapes or dtypes and, for tensors on the CPU, for NaN or infinite
    entries (naming layer and source). On other devices nothing is read back: `poison_B1` tells.
    """
    _check_shapes(gram_LKK, target_LK, mask_LK)
    sources = gram_LKK.shape[-1]
    gram_BKK = gram_LKK.to(torch.float64).reshape(-1, sources, sources)
    target_BK = target_LK.to(torch.float64).reshape(-1, sources)
    owner_BK: Tensor | None = None
    if mask_LK is not None:
        owner_BK = mask_LK.expand(target_LK.shape).reshape(-1, sources)
        # What a source that does not own the layer left in the Gram numbers must not matter.
        both_BKK = owner_BK.unsqueeze(-1) & owner_BK.unsqueeze(-2)
        gram_BKK = torch.where(both_BKK, gram_BKK, 0.0)
        target_BK = torch.where(owner_BK, target_BK, 0.0)

    # 0 * finite = 0 and 0 * (NaN or infinity) = NaN; unlike a plain sum this cannot overflow.
    poison_B1: Tensor | None = None
    if may_read(gram_LKK):
        if math.isnan(((gram_BKK * 0.0).sum() + (target_BK * 0.0).sum()).item()):
            raise ValueError(_name_the_fault(gram_BKK, target_BK, target_LK.shape))
    else:
        poison_B1 = (gram_BKK * 0.0).sum((-2, -1)).unsqueeze(-1)
        poison_B1 = poison_B1 + (target_BK * 0.0).sum(-1, keepdim=True)

    square_BK = gram_BKK.diagonal(dim1=-2, dim2=-1)
    active_BK = square_BK > 0.0
    inverse_norm_BK = torch.where(active_BK, square_BK.rsqrt(), 0.0)
    # Twice times 1/norm, not once times its square: entries of 1e300 and 1e-300 stay representable.
    correlation_BKK = gram_BKK * inverse_norm_BK.unsqueeze(-1) * inverse_norm_BK.unsqueeze(-2)
    # One by definition: no round-off on the diagonal, and identity rows for excluded sources.
    correlation_BKK.diagonal(dim1=-2, dim2=-1).fill_(1.0)
    cosine_BK = target_BK * inverse_norm_BK
    largest_B1 = cosine_BK.abs().amax(-1, keepdim=True)
    return Problem(
        correlation_BKK=correlation_BKK,
        cosine_BK=cosine_BK / largest_B1.masked_fill(largest_B1 == 0.0, 1.0),
        largest_B1=largest_B1,
        inverse_norm_BK=inverse_norm_BK,
        active_BK=active_BK,
        owner_BK=owner_BK,
        poison_B1=poison_B1,
        dtype=gram_LKK.dtype,
        shape=target_LK.shape,
    )


def mixture_values(
    mixtures_BSK: Tensor, correlation_BKK: Tensor, cosine_BK: Tensor, cancellation: float
) -> Tensor:
    """c^T x / sqrt(x^T R x) of S mixtures per layer, shape (B, S), computed from the Gram numbers alone.

    -inf for mixtures that are zero, not finite, or cancel to less than `cancellation` of (sum x)^2.
    """
    square_BS = (torch.matmul(mixtures_BSK, correlation_BKK) * mixtures_BSK).sum(-1)
    product_BS = torch.matmul(mixtures_BSK, cosine_BK.unsqueeze(-1)).squeeze(-1)
    # A comparison with NaN is false, so that mixtures from singular systems are ruled out too.
    sound_BS = square_BS > mixtures_BSK.sum(-1).square_().mul_(cancellation)
    return torch.where(sound_BS, product_BS * square_BS.rsqrt(), -torch.inf)


def to_weights(problem: Problem, mixture_BK: Tensor) -> Tensor:
    """Weights (sum 1 over the sources, 0 for excluded ones) from coefficients of the unit-norm columns.

    Degenerate layers: no source has a gradient -> uniform over the owners; the target's products with
    all sources are zero -> uniform over the sources with a gradient; no owner -> zeros. Rows with NaN
    or infinite input are NaN. The result has the dtype and leading shape of the inputs.
    """
    weights_BK = mixture_BK * problem.inverse_norm_BK
    weights_BK = torch.where(problem.largest_B1 > 0.0, weights_BK, problem.active_BK)
    nothing_B1 = ~problem.active_BK.any(-1, keepdim=True)
    if problem.owner_BK is None:
        weights_BK = weights_BK.masked_fill_(nothing_B1, 1.0)
        weights_BK = weights_BK / weights_BK.sum(-1, keepdim=True)
    else:
        weights_BK = torch.where(nothing_B1, problem.owner_BK, weights_BK)
        total_B1 = weights_BK.sum(-1, keepdim=True)
        weights_BK = weights_BK / total_B1.masked_fill(total_B1 == 0.0, 1.0)
    if problem.poison_B1 is not None:
        weights_BK = weights_BK + problem.poison_B1
    return weights_BK.to(problem.dtype).reshape(problem.shape)


def _check_shapes(gram_LKK: Tensor, target_LK: Tensor, mask_LK: Tensor | None) -> None:
    if not gram_LKK.is_floating_point():
        raise ValueError(f"gram must be a floating-point tensor, but got {gram_LKK.dtype}")
    shape = gram_LKK.shape
    if len(shape) < 2 or shape[-1] == 0 or shape[-2] != shape[-1]:
        raise ValueError(f"gram must have shape (..., K, K) with K >= 1, but got {tuple(shape)}")
    if target_LK.shape != shape[:-1]:
        raise ValueError(
            f"target must have the shape {tuple(shape[:-1])} of gram's rows,"
            f" but got {tuple(target_LK.shape)}"
        )
    if mask_LK is None:
        return
    if mask_LK.dtype != torch.bool:
        raise ValueError(f"mask must be a boolean tensor, but got {mask_LK.dtype}")
    width = len(target_LK.shape) - mask_LK.dim()
    if width < 0 or any(
        m not in (1, n) for m, n in zip(mask_LK.shape, target_LK.shape[width:], strict=True)
    ):
        raise ValueError(
            f"mask must broadcast to the shape {tuple(target_LK.shape)} of target,"
            f" but got {tuple(mask_LK.shape)}"
        )


def _name_the_fault(gram_BKK: Tensor, target_BK: Tensor, shape: torch.Size) -> str:
    """First layer with a NaN or infinite entry and the gradients to blame (host code, CPU only)."""
    bad_BKK, bad_BK = ~gram_BKK.isfinite(), ~target_BK.isfinite()
    flat = int((bad_BKK.any(-1).any(-1) | bad_BK.any(-1)).nonzero()[0, 0])
    index = (
        [int(i) for i in torch.unravel_index(torch.tensor(flat), shape[:-1])] if shape[:-1] else []
    )
    place = f"in layer {index[-1]}" if index else "in the layer"
    if len(index) > 1:
        place += f" of batch index {tuple(index[:-1])}"
    sources = bad_BKK[flat].diagonal().nonzero().flatten().tolist()
    if not sources:
        sources = bad_BKK[flat].any(-1).nonzero().flatten().tolist()
    if sources:
        return f"NaN or infinite Gram numbers of source {_listed(sources)} {place}"
    sources = bad_BK[flat].nonzero().flatten().tolist()
    return (
        f"NaN or infinite product of the target gradient with source {_listed(sources)} {place}"
        " (the source gradients themselves are finite there)"
    )


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
