"""What all tests share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from debug_experiment import Experiment

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


@pytest.fixture(scope="session")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> "Callable[[str], Experiment]":
    """The debug experiment, of a size that a method's network takes; not to be changed."""
    from debug_experiment import SCALE, make_experiment, needs_resnet

    made: dict[int, Experiment] = {}

    def experiment_for(method: str) -> "Experiment":
        scale = SCALE if needs_resnet(method) else 1
        if scale not in made:
            made[scale] = make_experiment(tmp_path_factory.mktemp("experiment"), scale=scale)
        return made[scale]

    return experiment_for


@pytest.fixture(scope="session")
def experiment(experiments: "Callable[[str], Experiment]") -> "Experiment":
    """The debug experiment for most methods."""
    return experiments("gradmix")
