"""Mixing over two real ranks, on the CPU: the same as one process with the joined batches."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gradmix.mixing.finite import FiniteCheck, NonFiniteGradientError

CHECKS = (
    *("the documented example", "gradmix", "gradmix, eta on the gradient, H1", "meta gradient"),
    *(
        "guided sum",
        "guarded sum",
        "sum",
        "mean",
        "fixed weights",
        "accumulated parts",
        "collectives",
    ),
    *("nan on one rank", "other weights", "other losses", "another reach at a later step"),
    *("another reach on all ranks", "ranks apart", "bfloat16", "batch normalisation"),
    *("batch normalisation of domains", "batch normalisation in float32"),
    "batch normalisation of a joint pass",
)


@pytest.fixture(scope="module")
def became(repository, tmp_path_factory):
    """One start of two ranks for all checks: starting them takes longer than they do."""
    result = tmp_path_factory.mktemp("ranks") / "result.json"
    program = Path(__file__).with_name("rank_checks.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(program), str(repository / "docs" / "core.md"), str(result)],
        env=os.environ | {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return json.loads(result.read_text())


def test_all_checks_were_made(became):
    assert tuple(became) == CHECKS


@pytest.mark.parametrize("check", CHECKS)
def test_ranks(became, check):
    assert became[check] == "", became[check]


class Event:
    """A CUDA event of which it is known whether it was waited for."""

    def __init__(self):
        self.waited = False

    def query(self):
        return True

    def synchronize(self):
        self.waited = True


def test_ranks_find_a_bad_step_at_the_same_later_step_whatever_has_arrived():
    check = FiniteCheck()
    check.in_step = True
    good, bad, events = torch.tensor([[True]]), torch.tensor([[False]]), [Event() for _ in range(3)]
    for step, event in enumerate(events):
        table = bad if step == 0 else good
        check._pending.append((step, table, event, [], ["a"]))
        if step < 2:
            check.poll()
    assert not any(event.waited for event in events)
    with pytest.raises(NonFiniteGradientError, match="step 0"):
        check.poll()
    assert [event.waited for event in events] == [True, False, False]
