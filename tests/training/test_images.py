"""Batches straight from the domain's file."""

import numpy as np
import pandas as pd
import torch

from gradmix.domains.format import open_domain, write_domain
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
