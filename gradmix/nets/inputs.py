"""From stored images to the network's input, on the device; and the check that they fit."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def to_input(images_NHWC: Tensor, *, channels: int) -> Tensor:
    """Convert uint8 (N,H,W,C) images to float32 (N,C,H,W) in [-1, 1], channels last in memory.

    Args:
        images_NHWC: uint8, with 1 channel or as many as the network takes.
        channels: what the network takes; grey images are repeated over them.

    Raises:
        ValueError: if the images have another number of channels.
    """
    stored = images_NHWC.shape[-1]
    if stored not in (1, channels):
        raise ValueError(f"images have {stored} channels, but the network takes {channels}")
    inputs = images_NHWC.permute(0, 3, 1, 2).to(torch.float32).div(127.5).sub(1.0)
    return inputs.expand(-1, channels, -1, -1).contiguous(memory_format=torch.channels_last)


def evaluation_input(network: Any, images_NHWC: Tensor) -> Tensor:
    """Cut the centre of the images, as large as the network takes, for evaluation.

    Args:
        network: has `image_size` (height, width) and `in_channels`.
        images_NHWC: uint8, at least as large.
    """
    height, width = network.image_size
    top = max(0, images_NHWC.shape[1] - height) // 2
    left = max(0, images_NHWC.shape[2] - width) // 2
    centre = images_NHWC[:, top : top + height, left : left + width]
    return to_input(centre, channels=int(network.in_channels))


def training_input(network: Any, images_NHWC: Tensor, *, flip: bool) -> Tensor:
    """Cut a random part of every image, as large as the network takes, and mirror at random, for training.

    Where the images are as large as the input and ``flip`` is off, nothing is random and no number is drawn.

    Args:
        network: has `image_size` (height, width) and `in_channels`.
        images_NHWC: uint8, at least as large.
        flip: whether half of the images are mirrored left to right.
    """
    rows, columns = network.image_size
    count, height, width, _ = images_NHWC.shape
    device = images_NHWC.device
    if (height, width) != (rows, columns) or flip:
        top_B = torch.randint(0, max(0, height - rows) + 1, (count, 1), device=device)
        left_B = torch.randint(0, max(0, width - columns) + 1, (count, 1), device=device)
        across_BW = left_B + torch.arange(min(columns, width), device=device)
        if flip:
            mirrored_B = torch.rand(count, 1, device=device) < 0.5
            across_BW = torch.where(mirrored_B, across_BW.flip(1), across_BW)
        down_BH = top_B + torch.arange(min(rows, height), device=device)
        image_B = torch.arange(count, device=device)
        images_NHWC = images_NHWC[
            image_B[:, None, None], down_BH[:, :, None], across_BW[:, None, :]
        ]
    return to_input(images_NHWC, channels=int(network.in_channels))


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
