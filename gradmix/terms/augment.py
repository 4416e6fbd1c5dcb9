"""Random changes of images that keep their class, on the device."""

import torch
from torch import Tensor


def random_shift(images_BCHW: Tensor, pixels: int) -> Tensor:
    """Every image moved by whole pixels, at most ``pixels`` each way, its edge repeated into what becomes free.

    Args:
        images_BCHW: the images.
        pixels: largest shift, up, down, left and right; 0 changes nothing.
    """
    count, _, rows, columns = images_BCHW.shape
    device = images_BCHW.device
    by_B2 = torch.randint(-pixels, pixels + 1, (count, 2), device=device)
    # Indices beyond the edge are clamped to it: that repeats the edge.
    rows_BH = (torch.arange(rows, device=device) + by_B2[:, :1]).clamp(0, rows - 1)
    columns_BW = (torch.arange(columns, device=device) + by_B2[:, 1:]).clamp(0, columns - 1)
    image_B = torch.arange(count, device=device)
    channels_last = images_BCHW.permute(0, 2, 3, 1)
    moved = channels_last[
        image_B[:, None, None], rows_BH[:, :, None], columns_BW[:, None, :]
    ]  # (B, H, W, C)
    return moved.permute(0, 3, 1, 2)
