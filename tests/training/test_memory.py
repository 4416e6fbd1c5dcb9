"""Too little memory ends a training with what was too large, and what to change."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from debug_experiment import settings_of, train

from gradmix.errors import asked_for, out_of_memory
from gradmix.files import write_json
from gradmix.training.job import Run
from gradmix.training.run import train_runs

HUGE = 10**13
SIZES = "batch_size 8, target_batch_size 12, unlabelled_batch_size 10"
UNDER_A_LIMIT = """
import resource, sys
from gradmix.files import read_json
from gradmix.training.job import Run
from gradmix.training.run import train_runs
run = Run.from_json(read_json(sys.argv[1]))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))
train_runs([run], print)
"""


def test_a_network_that_does_not_fit(experiment, tmp_path):
    settings = settings_of("gradmix")
    settings = replace(settings, network={**settings.network, "hidden": HUGE})
    with pytest.raises(ValueError, match="out of memory") as caught:
        train(settings, experiment.job(tmp_path / "store"), tmp_path / "run")
    said = str(caught.value)
    assert said.startswith(
        "method gradmix, k = 2, draw 0: out of memory on cpu before its first step"
    )
    assert f"with {SIZES}, models_at_once 1; lower training.batch_size or" in said
    assert said.endswith("or give the job more memory (resources.memory_mb)")


def test_stacked_models_that_do_not_fit(experiment, tmp_path):
    job = experiment.job(tmp_path / "store", models_at_once=2)
    plain = settings_of("gradmix")
    plain = replace(plain, network={**plain.network, "hidden": HUGE})
    runs = [Run(replace(plain, member=name), job, tmp_path / name) for name in ("a", "b")]
    with pytest.raises(ValueError, match="member a and 1 more: out of memory on cpu") as caught:
        train_runs(runs, print)
    assert "models_at_once 2; lower resources.models_at_once or training.batch_size" in str(
        caught.value
    )


def test_a_limit_of_the_machine(experiment, tmp_path):
    settings = settings_of("gradmix")
    settings = replace(settings, network={**settings.network, "width": 1200})
    run = Run(settings, experiment.job(tmp_path / "store"), tmp_path / "run")
    write_json(tmp_path / "run.json", run.to_json())
    done = subprocess.run(
        [sys.executable, "-c", UNDER_A_LIMIT, str(tmp_path / "run.json")],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "ValueError: method gradmix, k = 2, draw 0: out of memory on cpu in step 1 ("
    )
    assert "bytes were asked for), with batch_size 8, " in last


def test_what_says_that_memory_is_missing_and_what_does_not():
    with pytest.raises(RuntimeError) as by_torch:
        torch.empty(HUGE)
    with pytest.raises(MemoryError) as by_numpy:
        np.empty(10**18, np.uint8)
    assert out_of_memory(by_torch.value)
    assert asked_for(by_torch.value) == f" ({4 * HUGE} bytes were asked for)"
    assert out_of_memory(by_numpy.value)
    assert asked_for(by_numpy.value) == " (888. PiB were asked for)"
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert out_of_memory(OSError(12, "Cannot allocate memory"))
    assert asked_for(MemoryError()) == ""
    for other in (OSError(28, "No space left"), RuntimeError("NaN"), ValueError("out of memory")):
        assert not out_of_memory(other)
