"""Batch normalisation over the mini-batches of all ranks, as if one process had them joined.

Shapes: N images of this rank, C channels, n ranks.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class SynchronisedStatistics(TorchFunctionMode):
    """A context: forward passes in it take batch normalisation's mean and variance over all ranks.

    For any network and any device (torch's own SyncBatchNorm is for GPUs only and replaces modules); evaluation
    mode is left as it is. Each normalisation costs a small all-reduce, and one more on the way back, so all ranks
    must make the same passes in the same order. Running statistics come out the same on all ranks.

    Args:
        process_group: of ``torch.distributed``.
    """

    def __init__(self, process_group: "ProcessGroup") -> None:
        super().__init__()
        self.process_group = process_group

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Replace batch normalisation in training mode; everything else passes."""
        kwargs = kwargs or {}
        if func is functional.batch_norm and kwargs.get("training"):
            return _batch_norm(self.process_group, *args, **kwargs)
        return func(*args, **kwargs)


def _batch_norm(
    group: "ProcessGroup",
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Compute ``functional.batch_norm`` with statistics over all ranks; arguments are torch's."""
    channels, dims = x.shape[1], _all_but_channels(x)
    with torch.no_grad():
        wide = x.detach().to(torch.promote_types(x.dtype, torch.float32))
        # A row for each rank, all but the own one zero: their sum shows every rank all rows as they are.
        rows = wide.new_zeros(distributed.get_world_size(group), 2 * channels + 1)
        mean_C, variance_C, own_count = rows[distributed.get_rank(group)].split(
            [channels, channels, 1]
        )
        own_count.fill_(x.numel() / channels)
        # Several times as quick as torch.var_mean over these dimensions of a channels-last tensor.
        mean_C.copy_(wide.sum(dim=dims)).div_(own_count)
        variance_C.copy_((wide - _over(x, mean_C)).square_().sum(dim=dims)).div_(own_count)
        distributed.all_reduce(rows, group=group)
        means_nC, variances_nC, counts_n1 = rows.split([channels, channels, 1], dim=1)
        count = counts_n1.sum()
        shares_n1 = counts_n1 / count
        mean_C = (shares_n1 * means_nC).sum(dim=0)
        variance_C = (shares_n1 * (variances_nC + (means_nC - mean_C).square())).sum(dim=0)
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean_C.to(running_mean.dtype), momentum)
            unbiased_C = variance_C * (count / (count - 1))
            running_var.lerp_(unbiased_C.to(running_var.dtype), momentum)
    normalised: Tensor = _Normalise.apply(x, weight, bias, mean_C, variance_C, count, eps, group)
    return normalised


class _Normalise(torch.autograd.Function):
    """Normalisation by given statistics, with the gradient for statistics over all ranks' images."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean_C: Tensor,
        variance_C: Tensor,
        count: Tensor,
        eps: float,
        group: "ProcessGroup",
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean_C, (variance_C + eps).rsqrt(), count)
        ctx.group = group
        return functional.batch_norm(x, mean_C, variance_C, weight, bias, False, 0.0, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        x, weight, mean_C, scale_C, count = ctx.saved_tensors
        dims = _all_but_channels(x)
        wide = gradient.to(mean_C.dtype)
        normalised = (x - _over(x, mean_C)).mul_(_over(x, scale_C))
        sums_2C = torch.stack([wide.sum(dim=dims), (wide * normalised).sum(dim=dims)])
        bias_C, weight_C = sums_2C.clone()
        distributed.all_reduce(sums_2C, group=ctx.group)
        gradient_C, product_C = sums_2C / count
        factor_C = scale_C if weight is None else scale_C * weight
        grad_x = torch.addcmul(wide, normalised, _over(x, product_C), value=-1)
        grad_x = grad_x.sub_(_over(x, gradient_C)).mul_(_over(x, factor_C)).to(x.dtype)
        grad_affine = (None, None)
        if weight is not None:
            grad_affine = (weight_C.to(weight.dtype), bias_C.to(weight.dtype))
        return (grad_x, *grad_affine, None, None, None, None, None)


def _over(x: Tensor, values_C: Tensor) -> Tensor:
    """Shape one value per channel to go with all of x."""
    return values_C.view(1, -1, *[1] * (x.ndim - 2))


def _all_but_channels(x: Tensor) -> list[int]:
    return [0, *range(2, x.ndim)]
