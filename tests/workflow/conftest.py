"""One miniature experiment, run to its report once, for all tests of the workflow."""

import fcntl
from pathlib import Path

import pytest
from experiment import Workflow, make_workflow


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.workflow)
    # They take longest, so that of several processes none is left with them at the end.
    items.sort(key=lambda item: here not in item.path.parents)


@pytest.fixture(scope="session")
def fresh(repository, tmp_path_factory) -> Workflow:
    """A workflow in which nothing has run; for dry runs."""
    return make_workflow(repository, tmp_path_factory.mktemp("fresh") / "workflow")


@pytest.fixture(scope="session")
def finished(repository, tmp_path_factory, worker_id) -> Workflow:
    """A workflow that ran to its end; for dry runs, and to be copied where a test runs more."""
    mine = tmp_path_factory.mktemp("finished") / "workflow"
    if worker_id == "master":
        return _run_whole(repository, mine)
    # Tests in several processes: the first runs it, and each takes a copy, because tests edit files of theirs.
    shared = tmp_path_factory.getbasetemp().parent / "finished"
    with open(f"{shared}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        workflow = Workflow(shared) if shared.exists() else _run_whole(repository, shared)
        return workflow.copy(mine)


def _run_whole(repository: Path, folder: Path) -> Workflow:
    workflow = make_workflow(repository, folder)
    done = workflow.run()
    assert done.status == 0, done.text[-6000:]
    return workflow
