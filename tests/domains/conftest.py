"""What the tests of the domains share."""

import os
from pathlib import Path

import numpy as np
import pytest
from domain_tables import table

from gradmix.domains.format import write_domain


@pytest.fixture
def real_data() -> Path:
    """The data_dir with real files; tests that need it are skipped where there is none."""
    folder = os.environ.get("GRADMIX_DATA_DIR")
    if not folder:
        pytest.skip("GRADMIX_DATA_DIR is not set: no real data here")
    return Path(folder)


@pytest.fixture
def need(real_data):
    """Returns a file of the real data, or skips."""

    def find(name: str) -> Path:
        path = real_data / name
        if not path.is_file():
            pytest.skip(f"{name} is not in GRADMIX_DATA_DIR")
        return path

    return find


@pytest.fixture
def small(tmp_path):
    """A whole domain of 40 images in two classes: its folder and images."""
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
    info = {"name": "small", "origin": "test", "label_space": "two", "classes": ["0", "1"]}
    folder = tmp_path / "small"
    write_domain(folder, images, table(np.arange(40) % 2), info)
    return folder, images
