"""One miniature experiment, run to its report once, for all tests of the workflow."""

from pathlib import Path

import pytest
from experiment import Workflow, make_workflow


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.workflow)


@pytest.fixture(scope="session")
def fresh(repository, tmp_path_factory) -> Workflow:
    """A workflow in which nothing has run; for dry runs."""
    return make_workflow(repository, tmp_path_factory.mktemp("fresh") / "workflow")


@pytest.fixture(scope="session")
def finished(repository, tmp_path_factory) -> Workflow:
    """A workflow that ran to its end; for dry runs, and to be copied where a test runs more."""
    workflow = make_workflow(repository, tmp_path_factory.mktemp("finished") / "workflow")
    done = workflow.run()
    assert done.status == 0, done.text[-6000:]
    return workflow
