"""What all tests share."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

# Tests' networks are tiny: threads would wait for each other longer than they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


@pytest.fixture
def default_config() -> dict[str, Any]:
    """The content of config/config.yaml, to be changed at will."""
    content = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    assert isinstance(content, dict)
    return content


@pytest.fixture
def plain_config(default_config: dict[str, Any]) -> dict[str, Any]:
    """The same without its conditions, and without the domains that only they use."""
    for name in ("near", "near_wrong"):
        del default_config["domains"][name]
    del default_config["domains"]["sklearn_5_9"]["share"]
    return default_config | {"conditions": {}}
