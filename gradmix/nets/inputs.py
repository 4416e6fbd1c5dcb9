"""From stored images to the network's input, on the device; and the check that they fit."""

from collections.abc import Sequence

import torch
from torch import Tensor


def to_input(images_NHWC: Tensor, *, channels: int) -> Tensor:
    """uint8 (N,H,W,C) images as float32 (N,C,H,W) in [-1, 1], channels last in memory.

    Args:
        images_NHWC: uint8, with 1 channel or as many as the network takes.
        channels: what the network takes; grey images are repeated over them.

    Raises:
        ValueError: if the images have another number of channels.
    """
    found = images_NHWC.shape[-1]
    if found not in (1, channels):
        raise ValueError(f"images have {found} channels, but the network takes {channels}")
    inputs = images_NHWC.permute(0, 3, 1, 2).to(torch.float32).div(127.5).sub(1.0)
    return inputs.expand(-1, channels, -1, -1).contiguous(memory_format=torch.channels_last)


def check_images(
    images: Tensor, channels: int, image_size: Sequence[int], domain: str | None
) -> None:
    """Refuse images that are not (N, channels, *image_size).

    Raises:
        ValueError: with both sizes, and the domain if it is known.
    """
    expected = (channels, *image_size)
    if tuple(images.shape[1:]) != expected:
        raise ValueError(
            f"the network takes images of (channels, height, width) {expected}, "
            f"but got {tuple(images.shape[1:])}" + (f" from {domain}" if domain else "")
        )
