"""A SLURM for all tests here, in which all stories are played at once: most of their time is spent waiting."""

import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from slurm_lab import UnavailableError, start, stop

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

import stories as plays


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
def stories(slurm, request, repository, tmp_path_factory) -> Iterator[Mapping[str, Future[Any]]]:
    """What became of each story that a collected test asks for; they have begun."""
    modules = {item.path.stem.removeprefix("test_cluster_") for item in request.session.items}
    wanted = [name for name in plays.STORIES if name in modules]
    folder = tmp_path_factory.mktemp("stories")
    prepared = plays.prepared(repository, folder)
    with ThreadPoolExecutor(len(wanted)) as pool:
        yield {name: pool.submit(plays.STORIES[name], prepared, folder / name) for name in wanted}
