"""Batches straight from the domain's file."""

import numpy as np
import pandas as pd
import pytest
import torch

from gradmix.domains.format import open_domain, write_domain
from gradmix.training.ahead import gathered
from gradmix.training.data import ImageSet
from gradmix.training.images import located_images, mapped


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


def test_batches_gathered_ahead_are_the_same_and_errors_reach_the_loop(tmp_path):
    domain, images = domain_of(tmp_path)
    located, chosen = located_images(domain, np.arange(5, 25), torch.device("cpu"))
    filed = ImageSet("S", located, torch.from_numpy(domain.labels[5:25].copy()), "two", "d", chosen)
    held = ImageSet("T", torch.from_numpy(images[:7]), torch.zeros(7, dtype=torch.long), "two", "d")
    assert (filed.in_file, held.in_file) == (True, False)
    rows = [torch.randint(0, 20, (6, 4)), torch.randint(0, 7, (6, 3))]
    both = list(gathered([filed, held], rows, 6))
    assert len(both) == 6
    for step, (first, second) in enumerate(both):
        assert np.array_equal(first.numpy(), images[5:25][rows[0][step].numpy()])
        assert np.array_equal(second.numpy(), images[rows[1][step].numpy()])
    (alone,) = next(gathered([held], rows[1:], 6))
    assert torch.equal(alone, both[0][1])
    with pytest.raises(IndexError):
        list(gathered([filed], [torch.full((2, 1), 99)], 2))
