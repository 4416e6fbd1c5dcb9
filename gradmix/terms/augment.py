"""Changes images at random, on the device, without changing their class."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def random_shift(images_BCHW: Tensor, pixels: int) -> Tensor:
    """Move every image by whole pixels, at most ``pixels`` each way, and repeat its edge where it has left.

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


def random_affine(
    images_BCHW: Tensor, *, shift: float, rotation: float, scale: float, shear: float
) -> Tensor:
    """Move, turn, scale and shear every image by its own random amounts; the edge is repeated outside.

    Args:
        images_BCHW: the images.
        shift: largest shift, in pixels.
        rotation: largest angle, in degrees.
        scale: largest relative change of size, such as 0.15.
        shear: largest shear, as a tangent.
    """
    count, _, rows, columns = images_BCHW.shape
    device = images_BCHW.device
    random_B5 = torch.rand(count, 5, device=device) * 2 - 1
    angle = random_B5[:, 0] * math.radians(rotation)
    size = 1 + random_B5[:, 1] * scale
    slope = random_B5[:, 2] * shear
    # Where each output pixel comes from, in coordinates from -1 to 1.
    cosine, sine = angle.cos() / size, angle.sin() / size
    across = random_B5[:, 3] * (2 * shift / columns)
    down = random_B5[:, 4] * (2 * shift / rows)
    first = torch.stack([cosine, slope - sine, across], dim=1)
    second = torch.stack([sine, cosine, down], dim=1)
    grid = functional.affine_grid(
        torch.stack([first, second], dim=1), list(images_BCHW.shape), align_corners=False
    )
    return functional.grid_sample(images_BCHW, grid, padding_mode="border", align_corners=False)
