"""Batches of one run and of several, from memory and straight from the domain's file."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from gradmix.domains.format import open_domain, write_domain
from gradmix.methods.method import Stream
from gradmix.training.batches import Batches, gathered
from gradmix.training.data import ImageSet, LoadedStream
from gradmix.training.images import located_images, mapped
from gradmix.training.samplers import Shuffled


def domain_of(tmp_path, count=30):
    images = np.random.default_rng(0).integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)
    index = pd.DataFrame({"label": np.arange(count) % 2, "class_name": "a"})
    for column in ("group", "clip", "original"):
        index[column] = ""
    info = {"name": "d", "origin": "test", "label_space": "two", "classes": ["0", "1"]}
    write_domain(tmp_path / "d", images, index, info)
    return open_domain(tmp_path / "d"), images


def test_the_tensor_is_the_file_and_never_writes_to_it(tmp_path):
    domain, images = domain_of(tmp_path)
    tensor = mapped(domain)
    assert torch.equal(tensor, torch.from_numpy(images))
    tensor[0] = 7
    assert np.array_equal(open_domain(tmp_path / "d", check_content=True).images, images)


def test_a_set_takes_its_own_rows(tmp_path):
    domain, images = domain_of(tmp_path)
    rows = np.array([4, 29, 7, 7, 0])
    located, chosen = located_images(domain, rows, torch.device("cpu"))
    labels = torch.from_numpy(domain.labels[rows])
    these = ImageSet("S", located, labels, "two", "d", chosen)
    assert len(these) == 5
    taken = these.take(torch.tensor([1, 4, 2]))
    assert np.array_equal(taken.numpy(), images[[29, 0, 7]])


def streams_of(images, count, size=4):
    """One set's stream of two runs, each with an order of its own."""
    return [
        LoadedStream(Stream("sources"), images, Shuffled(torch.arange(count), size, seed), "S")
        for seed in (1, 2)
    ]


def test_batches_gathered_ahead_are_the_same_and_errors_reach_the_loop(tmp_path):
    domain, images = domain_of(tmp_path)
    located, chosen = located_images(domain, np.arange(5, 25), torch.device("cpu"))
    filed = ImageSet("S", located, torch.from_numpy(domain.labels[5:25].copy()), "two", "d", chosen)
    held = ImageSet("T", torch.from_numpy(images[:7]), torch.zeros(7, dtype=torch.long), "two", "d")
    first, second = Batches(streams_of(filed, 20)[:1]), Batches(streams_of(held, 7, 3)[:1])
    assert (first.in_file, second.in_file) == (True, False)
    rows = [torch.randint(5, 25, (6, 1, 4)), torch.randint(0, 7, (6, 1, 3))]
    both = list(gathered([first, second], rows, 6))
    assert len(both) == 6
    for step, batches in enumerate(both):
        for batch, rows_TMB in zip(batches, rows, strict=True):
            assert np.array_equal(batch.numpy(), images[rows_TMB[step, 0].numpy()])
    (alone,) = next(gathered([second], rows[1:], 6))
    assert torch.equal(alone, both[0][1])
    with pytest.raises(IndexError):
        list(gathered([first], [torch.full((2, 1, 1), 99)], 2))


@pytest.mark.parametrize("shared", [True, False])
def test_batches_of_several_runs_are_those_of_each(shared, tmp_path):
    """Of the same images, and of images of their own; those that a resumed run has seen are left out."""
    domain, images = domain_of(tmp_path)
    located, chosen = located_images(domain, np.arange(5, 25), torch.device("cpu"))
    labels = torch.from_numpy(domain.labels[5:25].copy())
    filed = ImageSet("S", located, labels, "two", "d", chosen)
    streams = streams_of(filed, 20)
    if not shared:
        own = ImageSet("S", torch.from_numpy(255 - images), 1 - labels, "two", "d", chosen)
        streams[1] = replace(streams[1], set=own)
    whole = [Batches([stream]).draw(6, 0) for stream in streams_of(filed, 20)]
    rows_TMB, labels_TMB, factor = Batches(streams).draw(6, taken=2)
    assert rows_TMB.shape == labels_TMB.shape == (4, 2, 4)
    assert factor == 1
    together = list(gathered([Batches(streams)], [rows_TMB], 4))
    for model, (rows, own_labels, _) in enumerate(whole):
        assert torch.equal(rows_TMB[:, model], rows[2:, 0])
        expected_labels, expected = own_labels[2:, 0], images[rows[2:, 0].numpy()]
        if model == 1 and not shared:
            expected_labels, expected = 1 - expected_labels, 255 - expected
        assert torch.equal(labels_TMB[:, model], expected_labels)
        for step, (batch,) in enumerate(together):
            assert np.array_equal(batch.unflatten(0, (2, 4))[model].numpy(), expected[step])
