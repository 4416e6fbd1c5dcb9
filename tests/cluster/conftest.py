"""A SLURM for all tests here, and copies of the workflow in which domains and splits are there already."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_workflow import environment
from slurm_lab import UnavailableError, start, stop

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from experiment import make_workflow

METHODS = ("target_only", "source_only", "gradmix", "gradmix_hard")


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory) -> Iterator[Path]:
    """A running SLURM; its folder."""
    root = tmp_path_factory.mktemp("slurm").resolve()
    try:
        start(root)
    except UnavailableError as error:
        stop(root)
        pytest.skip(f"no SLURM here: {error}")
    yield root
    stop(root)


@pytest.fixture(scope="session")
def fresh(repository, tmp_path_factory) -> Path:
    """A workflow in which nothing has run: the miniature of the default experiment, on GPUs that are none."""
    folder = tmp_path_factory.mktemp("fresh") / "workflow"
    make_workflow(repository, folder)
    change(
        folder,
        methods={method: {} for method in METHODS},
        tuning={"budget": 1},
        grid={"beta": [5, 10], "gamma": [0.0, 0.5], "runs_per_job": 2},
        resources={"gpu": 1, "memory_mb": 1500, "runtime_minutes": 10},
    )
    return folder


@pytest.fixture(scope="session")
def with_splits(repository, tmp_path_factory) -> Callable[..., Path]:
    """A workflow with these keys whose domains and splits are made, on this machine."""

    def make(**keys: Any) -> Path:
        folder = tmp_path_factory.mktemp("splits") / "workflow"
        make_workflow(repository, folder)
        change(folder, **keys)
        command = [sys.executable, "-m", "snakemake", "splits", "--cores", "2"]
        subprocess.run(
            [*command, "--configfile", "mini.yaml"],
            cwd=folder,
            env=environment(),
            capture_output=True,
            check=True,
        )
        return folder

    return make


def change(folder: Path, **keys: Any) -> None:
    """Lay these keys over the miniature's; the keys of ``training`` over its training."""
    path = folder / "mini.yaml"
    config = yaml.safe_load(path.read_text())
    keys["training"] = config["training"] | keys.get("training", {})
    path.write_text(yaml.safe_dump(config | keys, sort_keys=False))
