"""Random shifts on images small enough to shift by hand."""

import torch

from gradmix.terms.augment import random_shift


def by_hand(image_CHW, down, right):
    """The image whose pixel (r, c) is the old one's (r + down, c + right), or the nearest to it."""
    _, rows, columns = image_CHW.shape
    moved = torch.empty_like(image_CHW)
    for row in range(rows):
        for column in range(columns):
            source_row = min(max(row + down, 0), rows - 1)
            source_column = min(max(column + right, 0), columns - 1)
            moved[:, row, column] = image_CHW[:, source_row, source_column]
    return moved


def test_one_column_moved_right_repeats_its_left_edge():
    image = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    assert by_hand(image, 0, -1).tolist() == [[[1, 1, 2], [4, 4, 5]]]
    torch.manual_seed(0)
    moved = random_shift(image.expand(100, 1, 2, 3), 1).tolist()
    assert [[[1, 1, 2], [4, 4, 5]]] in moved
    assert [[[2, 3, 3], [5, 6, 6]]] in moved
    assert [[[4, 4, 5], [4, 4, 5]]] in moved  # up and right


def test_every_image_is_one_of_the_possible_shifts_and_all_of_these_occur():
    torch.manual_seed(0)
    image = torch.randn(3, 6, 5)  # all entries differ, so do its shifts
    possible = {
        (down, right): by_hand(image, down, right)
        for down in range(-2, 3)
        for right in range(-2, 3)
    }
    moved = random_shift(image.expand(500, 3, 6, 5), 2)
    assert moved.shape == (500, 3, 6, 5)
    shifted = [
        next(shift for shift, expected in possible.items() if torch.equal(expected, one))
        for one in moved
    ]
    assert set(shifted) == set(possible)


def test_images_keep_their_order_and_channels_move_together():
    torch.manual_seed(0)
    images = torch.arange(4.0)[:, None, None, None] + torch.tensor([0.0, 10.0])[:, None, None]
    images = images.expand(4, 2, 5, 5)  # constant, so that a shift changes nothing
    assert torch.equal(random_shift(images, 2), images)


def test_no_pixels_change_nothing_and_more_than_the_image_stays_inside_it():
    images = torch.randn(3, 1, 4, 4)
    assert torch.equal(random_shift(images, 0), images)
    assert torch.isin(random_shift(images, 9), images).all()


def test_the_same_seed_gives_the_same_shifts():
    images = torch.randn(20, 1, 6, 6)
    moved = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        moved.append(random_shift(images, 2))
    assert torch.equal(moved[0], moved[1])
    assert not torch.equal(moved[0], moved[2])


def test_memory_stays_channels_last():
    images = torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert random_shift(images, 2).is_contiguous(memory_format=torch.channels_last)
