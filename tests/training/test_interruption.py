"""A training process that is ended from outside goes on, bit for bit, where it was."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from debug_experiment import settings_of
from safetensors.numpy import load_file

from gradmix.training.job import Run
from gradmix.training.run import train_runs

PROGRAM = """
import json, signal, sys
from gradmix.training.job import Run
from gradmix.training.run import train_runs

# A shell's background jobs are born deaf to Ctrl-C; whoever runs the tests may be one.
signal.signal(signal.SIGINT, signal.default_int_handler)
train_runs([Run.from_json(json.loads(sys.argv[1]))], lambda line: print(line, flush=True))
"""


SETTINGS = settings_of("gradmix", training={"steps": 120, "evaluate_every": 10})


@pytest.fixture(scope="module")
def expected(experiment, tmp_path_factory):
    """Weights of the uninterrupted training."""
    folder = tmp_path_factory.mktemp("whole")
    train_runs([Run(SETTINGS, experiment.job(folder / "store"), folder / "run")], print)
    return load_file(folder / "run" / "model.safetensors")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_gets_a_signal_is_resumed_bit_for_bit(
    experiment, expected, tmp_path, number
):
    run = Run(SETTINGS, experiment.job(tmp_path / "store"), tmp_path / "run")
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(run.to_json())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step 20/"):
            process.send_signal(number)
            break
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not (tmp_path / "run" / "run.json").exists()

    lines: list[str] = []
    train_runs([run], lines.append)
    assert any(line.startswith("resumed at step ") for line in lines), lines
    resumed = load_file(tmp_path / "run" / "model.safetensors")
    assert all(np.array_equal(resumed[name], tensor) for name, tensor in expected.items())
