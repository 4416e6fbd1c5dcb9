"""Convolutions of several models as products of matrices, in place of the grouped convolution that vmap makes of them.

Shapes: B images, I and O channels in and out, p pixels of a filter, P pixels of the output; for one model.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class UnfoldedConvolutions(TorchFunctionMode):
    """A context: plain 2-d convolutions in it are one matrix product a model, which under vmap is one batched product.

    Images are unfolded, which takes p times their memory. Grouped and dilated convolutions, and those with padding by
    name, are left as they are.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Convolutions are ours; everything else passes."""
        kwargs = kwargs or {}
        if func is functional.conv2d and _plain(*args, **kwargs):
            return _unfolded(*args, **kwargs)
        return func(*args, **kwargs)


def _plain(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> bool:
    return groups == 1 and dilation in (1, (1, 1)) and not isinstance(padding, str) and x.dim() == 4


def _unfolded(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    size = tuple(weight.shape[2:])
    columns_BQP = functional.unfold(x, size, padding=padding, stride=stride)
    # All images in one product: (O, I p) times (I p, B P).
    columns_QN = columns_BQP.transpose(0, 1).flatten(1)
    found_OBP = torch.mm(weight.flatten(1), columns_QN).unflatten(1, (x.shape[0], -1))
    rows, columns = (
        (length + 2 * pad - filter_) // step + 1
        for length, pad, filter_, step in zip(
            x.shape[2:], _pair(padding), size, _pair(stride), strict=True
        )
    )
    found = found_OBP.transpose(0, 1).unflatten(2, (rows, columns))
    return found if bias is None else found + bias[:, None, None]


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
