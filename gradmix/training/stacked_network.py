"""The networks of several models as one: parameters and buffers stacked, one call for all.

Shapes: M models. Tensors of all models have M in front.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call


class StackedNetwork:
    """M networks of one class and size, whose parameters and buffers become slices of stacked tensors.

    What changes the stacked tensors in place changes the networks, and the reverse: each network keeps its own
    ``state_dict``. Batch normalisation's running statistics are stacked as well, and every forward pass in
    training mode updates them as each network's own pass would.

    Args:
        networks: with equal names, shapes and types of parameters and buffers, on one device.

    Attributes:
        module: what the calls run, whose training mode counts.
        parameters: (M, ...) leaves, in the order of ``networks[0].parameters()``.
        leaves: of all models, by the first network's parameters.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        first = networks[0]
        self.module = _Called(first)
        self.parameters = [
            _stacked(list(each)).requires_grad_(each[0].requires_grad)
            for each in zip(*(network.parameters() for network in networks), strict=True)
        ]
        buffers = [
            _stacked(list(each)) for each in zip(*(n.buffers() for n in networks), strict=True)
        ]
        # A mixer knows the parameters of the network that it was made for.
        self.leaves = dict(zip(first.parameters(), self.parameters, strict=True))
        self._names = [name for name, _ in [*first.named_parameters(), *first.named_buffers()]]
        self._tensors = [*self.parameters, *buffers]

    def each(self, function: Callable[..., Any], *values: Any, shared: int = 0) -> Any:
        """``function(network, *values)`` of every model, the results stacked.

        Args:
            function: of one model's network and values; it draws no random number.
            values: tensors, or lists of them, with M in front.
            shared: so many of the values, the last ones, are the same for all models and have no M.
        """

        def of_one(tensors: Sequence[Tensor], *values: Any) -> Any:
            named = {f"network.{n}": t for n, t in zip(self._names, tensors, strict=True)}
            return functional_call(self.module, named, (function, *values))

        dims = (0, *([0] * (len(values) - shared)), *([None] * shared))
        return torch.vmap(of_one, in_dims=dims)(self._tensors, *values)


class _Called(nn.Module):
    """Around a network, so that a function of the network can be called functionally."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, function: Callable[..., Any], *values: Any) -> Any:
        return function(self.network, *values)


@torch.no_grad()
def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """A new tensor (M, ...), of which the given ones become slices."""
    stacked = torch.stack([tensor.detach() for tensor in tensors]).contiguous()
    for tensor, part in zip(tensors, stacked, strict=True):
        tensor.data = part
    return stacked
