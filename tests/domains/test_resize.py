"""Bilinear resizing equals PyTorch's, and Pillow's where nothing is smoothed."""

import numpy as np
import pytest
import torch
from PIL import Image

from gradmix.domains.resize import resize_bilinear


def images(height, width, channels, count=4):
    shape = (count, height, width, channels)
    return np.random.default_rng(height * width).integers(0, 256, shape, dtype=np.uint8)


SIZES = [((28, 28), (32, 32)), ((8, 8), (32, 32)), ((32, 20), (32, 32)), ((48, 40), (32, 30))]
SIZES += [((1, 1), (4, 4)), ((5, 7), (3, 11)), ((33, 31), (32, 32)), ((2, 96), (7, 32))]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_equals_torch_up_to_rounding(old, new, channels):
    before = images(*old, channels)
    tensor = torch.from_numpy(before).permute(0, 3, 1, 2).double()
    expected = torch.nn.functional.interpolate(tensor, new, mode="bilinear", align_corners=False)
    expected = expected.permute(0, 2, 3, 1).numpy()
    after = resize_bilinear(before, *new)
    assert after.dtype == np.uint8
    assert after.shape == (4, *new, channels)
    assert np.abs(after - expected).max() <= 0.5 + 1e-4


@pytest.mark.parametrize(
    ("old", "new"), [((28, 28), (32, 32)), ((8, 8), (32, 32)), ((20, 9), (21, 64))]
)
def test_equals_pillow_when_enlarging(old, new):
    before = images(*old, 3)
    after = resize_bilinear(before, *new).astype(int)
    for array, resized in zip(before, after, strict=True):
        pillow = Image.fromarray(array).resize(new[::-1], Image.Resampling.BILINEAR)
        # Pillow rounds after each of the two directions.
        assert np.abs(resized - np.asarray(pillow, dtype=int)).max() <= 1


def test_same_size_and_constant_images_stay_as_they_are():
    before = images(6, 7, 3)
    assert resize_bilinear(before, 6, 7) is before
    flat = np.full((2, 5, 5, 1), 201, np.uint8)
    assert (resize_bilinear(flat, 13, 3) == 201).all()


def test_chunks_do_not_matter():
    before = images(9, 9, 1, count=10)
    together = resize_bilinear(before, 32, 32)
    apart = [resize_bilinear(before[row : row + 1], 32, 32) for row in range(10)]
    assert np.array_equal(together, np.concatenate(apart))
