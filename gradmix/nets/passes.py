"""Forward passes in evaluation mode: the one loop that training and evaluation make them in, and how large they are."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# Of one layer's activations. Larger blocks than 32 MB go back to the system after every layer, and come zeroed.
_BLOCK_BYTES = {"cpu": 2**23, "cuda": 2**29}


def prediction_size(network: Any, device: torch.device, models: int = 1) -> int:
    """Images of one forward pass in evaluation mode, where their number changes no more than rounding.

    As many as keep the activations of the first convolution in a block that the device handles well: 8 MB on a
    CPU, 512 MB on a GPU; at least 16, at most 16,384.

    Args:
        network: the network, or a module around it.
        device: where it is.
        models: number of models whose activations lie in memory at once.
    """
    network = next((m for m in network.modules() if hasattr(m, "image_size")), network)
    first = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None:
        return pass_size(network)
    height, width = network.image_size
    down, across = first.stride
    image = 4 * models * first.out_channels * (height // int(down)) * (width // int(across))
    return min(2**14, max(16, _BLOCK_BYTES.get(device.type, 2**23) // image))


def pass_size(network: Any) -> int:
    """Images of one forward pass without gradients: 500 of 32 x 32, fewer of larger ones."""
    height, width = network.image_size
    return min(500, max(16, 500 * 32 * 32 // (height * width)))


@torch.no_grad()
def logits_by_pass(
    network: nn.Module,
    logits_of: Callable[[Tensor], Tensor],
    images_of: Callable[[slice], Tensor],
    count: int,
    device: torch.device,
    *,
    models: int = 1,
    turn: tuple[int, int] = (0, 1),
) -> Iterator[tuple[slice, Tensor]]:
    """Compute logits in evaluation mode, pass by pass, as many images at once as the device handles well.

    Args:
        network: its mode is put back afterwards.
        logits_of: logits of uint8 images on the device, without a gradient.
        images_of: the images of a slice of ``range(count)``.
        count: number of images.
        device: where the network is.
        models: number of models that one call computes.
        turn: this rank and the number of ranks, which take turns in passes.

    Yields:
        The slice of every pass, and its logits.
    """
    rank, ranks = turn
    size = min(prediction_size(network, device, models), -(-count // ranks))
    was_training = network.training
    network.eval()
    try:
        for start in range(rank * size, count, ranks * size):
            part = slice(start, min(start + size, count))
            yield part, logits_of(images_of(part))
    finally:
        network.train(was_training)


def summed_scores(logits_BC: Tensor, labels_B: Tensor) -> Tensor:
    """Sum the cross entropy and count correct predictions, (2,) on the device."""
    loss = functional.cross_entropy(logits_BC, labels_B, reduction="sum")
    return torch.stack([loss, (logits_BC.argmax(dim=1) == labels_B).sum().to(loss.dtype)])
