"""Which images make up each batch."""

import pytest
import torch

from gradmix.training.samplers import Balanced, Shuffled, Whole, target_sampler


def test_every_image_once_per_permutation():
    sampler = Shuffled(torch.arange(10) + 100, 4, seed=1)
    drawn = sampler.take(5).flatten().tolist()
    assert sorted(drawn[:10]) == list(range(100, 110))
    assert sorted(drawn[10:]) == list(range(100, 110))
    assert drawn[:10] != drawn[10:]


def test_how_many_are_taken_at_once_does_not_matter():
    whole = Shuffled(torch.arange(7), 3, seed=1).take(6)
    sampler = Shuffled(torch.arange(7), 3, seed=1)
    assert torch.equal(whole, torch.cat([sampler.take(1), sampler.take(5)]))


def test_a_small_source_gives_smaller_batches():
    assert Shuffled(torch.arange(3), 64, seed=0).take(2).shape == (2, 3)


def test_balanced_batches_hold_each_class_equally():
    labels = torch.tensor([0] * 50 + [1] * 5 + [2] * 20)
    for batch in Balanced(labels, 9, seed=0).take(20):
        assert torch.bincount(labels[batch]).tolist() == [3, 3, 3]


def test_state_continues_the_very_sequence():
    labels = torch.tensor([0, 1] * 20)
    for make in (lambda: Balanced(labels, 6, 3), lambda: Shuffled(torch.arange(40), 6, 3)):
        first = make()
        first.take(3)
        state = {name: tensor.clone() for name, tensor in first.state().items()}
        second = make()
        second.load(state)
        assert torch.equal(first.take(9), second.take(9))


def test_target_set_is_whole_while_it_is_small():
    assert isinstance(target_sampler(torch.zeros(25), 128, 0), Whole)
    assert isinstance(target_sampler(torch.zeros(500), 128, 0), Balanced)
    assert Whole(3).take(2).tolist() == [[0, 1, 2], [0, 1, 2]]


def test_a_class_with_fewer_images_than_its_share_repeats_them():
    labels = torch.tensor([0] * 100 + [1] * 100 + [2] * 2)
    for batch in Balanced(labels, 60, seed=0).take(5):
        assert torch.bincount(labels[batch]).tolist() == [20, 20, 20]


def test_a_batch_without_room_for_every_class():
    with pytest.raises(ValueError, match="target_batch_size is 2, but there are 3 classes"):
        Balanced(torch.tensor([0, 1, 2]), 2, seed=0)
