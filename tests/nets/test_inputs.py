"""From stored images to the network's input: the centre in evaluation, random parts in training."""

from types import SimpleNamespace

import torch

from gradmix.nets.inputs import evaluation_input, to_input, training_input

# Every pixel says where it is: row in the first channel, column in the second.
ROWS, COLUMNS = torch.meshgrid(torch.arange(12), torch.arange(10), indexing="ij")
IMAGE = torch.stack([ROWS, COLUMNS, torch.zeros_like(ROWS)], dim=2).to(torch.uint8)


def network(size):
    return SimpleNamespace(image_size=size, in_channels=3)


def places(inputs):
    """Row and column of the pixels, (N, rows, columns) each."""
    values = ((inputs + 1) * 127.5).round().long()
    return values[:, 0], values[:, 1]


def test_evaluation_sees_the_centre():
    rows, columns = places(evaluation_input(network((6, 4)), IMAGE[None]))
    assert rows[0, :, 0].tolist() == [3, 4, 5, 6, 7, 8]
    assert columns[0, 0].tolist() == [3, 4, 5, 6]


def test_whole_images_stay_as_they_are_and_draw_no_number():
    state = torch.get_rng_state()
    inputs = training_input(network((12, 10)), IMAGE[None], flip=False)
    assert torch.equal(inputs, to_input(IMAGE[None], channels=3))
    assert torch.equal(evaluation_input(network((12, 10)), IMAGE[None]), inputs)
    assert torch.equal(torch.get_rng_state(), state)


def test_training_sees_every_part_and_its_mirror_image_equally_often():
    torch.manual_seed(0)
    images = IMAGE.expand(6000, -1, -1, -1)
    rows, columns = places(training_input(network((9, 8)), images, flip=True))
    # Neighbouring pixels stay neighbours: parts are whole, not shuffled.
    assert (rows[:, 1:] - rows[:, :-1] == 1).all()
    mirrored = columns[:, 0, 0] > columns[:, 0, 1]
    steps = columns[:, :, 1:] - columns[:, :, :-1]
    assert (steps == torch.where(mirrored, -1, 1)[:, None, None]).all()
    assert 0.47 < mirrored.float().mean() < 0.53
    tops = torch.bincount(rows[:, 0, 0], minlength=4)
    lefts = torch.bincount(columns.amin(dim=(1, 2)), minlength=3)
    assert tops.shape == (4,)
    assert (tops / 6000 - 1 / 4).abs().max() < 0.03
    assert (lefts / 6000 - 1 / 3).abs().max() < 0.03


def test_without_flip_nothing_is_mirrored():
    torch.manual_seed(0)
    _, columns = places(training_input(network((9, 8)), IMAGE.expand(50, -1, -1, -1), flip=False))
    assert (columns[:, :, 1:] > columns[:, :, :-1]).all()
