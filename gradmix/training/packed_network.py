"""The networks of several models as one: parameters and buffers stacked, one call for all.

Shapes: M models, S streams, B images of a mini-batch, C classes. Tensors of all models have M in front.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from gradmix.nets.inputs import evaluation_input, pass_size
from gradmix.training.data import ImageSet

# Images of all models in one pass without gradients.
_PASS = 8000


class PackedNetwork:
    """M networks of one class and size, whose parameters and buffers become parts of stacked tensors.

    What changes the stacked tensors in place changes the networks, and the reverse: each network keeps its own
    ``state_dict``. Batch normalisation's running statistics are stacked as well, and every forward pass in
    training mode updates them as each network's own pass would.

    Args:
        networks: with equal names, shapes and types of parameters and buffers, on one device.

    Attributes:
        names: of the parameters.
        parameters: (M, ...) leaves, in the order of ``networks[0].parameters()``.
        buffers: (M, ...) by name.
        of_first: the first network's parameters, and the leaves of all models in their place.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        self.count = len(networks)
        self._first = networks[0]
        # A module of its own around the network, so that a function of the network can be called functionally.
        self._called = _Called(networks[0])
        self.names = [name for name, _ in networks[0].named_parameters()]
        self.parameters = [
            _stacked(list(each)).requires_grad_(each[0].requires_grad)
            for each in zip(*(network.parameters() for network in networks), strict=True)
        ]
        self.buffers = {
            name: _stacked([dict(network.named_buffers())[name] for network in networks])
            for name, _ in networks[0].named_buffers()
        }
        # A mixer knows the parameters of the network that it was made for.
        self.of_first = dict(zip(networks[0].parameters(), self.parameters, strict=True))

    def train(self) -> None:
        """Batch normalisation by the mini-batch from here on."""
        self._called.train()

    def each(self, function: Callable[..., Any], *values: Any, shared: int = 0) -> Any:
        """``function(network, *values)`` of every model, the results stacked.

        Args:
            function: of one model's network and values; it draws no random number.
            values: tensors, or lists of them, with M in front.
            shared: so many of the values, the last ones, are the same for all models and have no M.
        """

        def of_one(parameters: Sequence[Tensor], buffers: Sequence[Tensor], *values: Any) -> Any:
            state = dict(zip(self.names, parameters, strict=True))
            state |= dict(zip(self.buffers, buffers, strict=True))
            named = {f"network.{name}": tensor for name, tensor in state.items()}
            return functional_call(self._called, named, (function, *values))

        dims = (0, 0, *([0] * (len(values) - shared)), *([None] * shared))
        called = torch.vmap(of_one, in_dims=dims)
        return called(self.parameters, list(self.buffers.values()), *values)

    @torch.no_grad()
    def evaluate(self, sets: Sequence[ImageSet], *, same: bool) -> tuple[list[float], list[float]]:
        """Mean cross entropy and accuracy of each model on its own set.

        Args:
            sets: equally large.
            same: whether all of them have the same images (`same_images`), which are gathered once then.
        """
        first, device = sets[0], self.parameters[0].device
        loss_M = torch.zeros(self.count, device=device)
        correct_M = torch.zeros(self.count, device=device)
        size = min(pass_size(self._first), max(16, _PASS // self.count))
        self._called.eval()
        for start in range(0, len(first), size):
            part = torch.arange(start, min(start + size, len(first)))
            looked_at = [first] if same else sets
            inputs = torch.stack([evaluation_input(self._first, s.take(part)) for s in looked_at])
            labels_MB = torch.stack([s.labels[start : start + size] for s in sets])

            def logits_of(network: Any, images: Tensor) -> Tensor:
                logits: Tensor = network(images, first.label_space, first.domain)
                return logits.float()

            logits_MBC = self.each(logits_of, inputs[0] if same else inputs, shared=int(same))
            flat = functional.cross_entropy(
                logits_MBC.flatten(0, 1), labels_MB.flatten(), reduction="none"
            )
            loss_M += flat.view_as(labels_MB).sum(dim=1)
            correct_M += (logits_MBC.argmax(dim=2) == labels_MB).sum(dim=1)
        self._called.train()
        # Divided on the host, in double precision, as single training does.
        sums = torch.stack([loss_M, correct_M]).tolist()
        losses, accuracies = ([value / len(first) for value in each] for each in sums)
        return losses, accuracies


class _Called(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, function: Callable[..., Any], *values: Any) -> Any:
        return function(self.network, *values)


@torch.no_grad()
def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """A new tensor (M, ...), of which the given ones become views."""
    stacked = torch.stack([tensor.detach() for tensor in tensors]).contiguous()
    for tensor, part in zip(tensors, stacked, strict=True):
        tensor.data = part
    return stacked


def same_images(sets: Sequence[ImageSet]) -> bool:
    """Whether all sets have the same images in the same order; waits for the device."""
    first = sets[0]
    return all(
        other is first
        or (
            other.images is first.images
            and (
                other.rows is first.rows
                or (
                    other.rows is not None
                    and first.rows is not None
                    and torch.equal(other.rows, first.rows)
                )
            )
        )
        for other in sets
    )
