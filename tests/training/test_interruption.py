"""A training process that is ended from outside goes on, bit for bit, where it was."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from debug_experiment import make_experiment, settings_of
from safetensors.numpy import load_file

from gradmix.training.run import train_method

PROGRAM = """
import json, signal, sys
from pathlib import Path
from gradmix.training.run import Job, train_method

# A shell's background jobs are born deaf to Ctrl-C; whoever runs the tests may be one.
signal.signal(signal.SIGINT, signal.default_int_handler)
call = json.loads(sys.argv[1])
paths = {name: Path(call[name]) for name in ("split", "store")}
domains = {name: Path(folder) for name, folder in call["domains"].items()}
job = Job(domains=domains, labels_per_class=2, draw=0, seed=0, code="test", device="cpu", **paths)
train_method(call["settings"], job, Path(call["output"]), lambda line: print(line, flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_gets_a_signal_is_resumed_bit_for_bit(tmp_path, number):
    experiment = make_experiment(tmp_path / "experiment")
    settings = settings_of("gradmix", training={"steps": 120, "evaluate_every": 10})
    call = {
        "settings": settings,
        "domains": {name: str(folder) for name, folder in experiment.domains.items()},
        "split": str(experiment.split),
        "store": str(tmp_path / "store"),
        "output": str(tmp_path / "run"),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(call)],
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

    job = experiment.job(tmp_path / "store")
    lines: list[str] = []
    train_method(settings, job, tmp_path / "run", lines.append)
    assert any(line.startswith("resumed at step ") for line in lines), lines
    whole = experiment.job(tmp_path / "another")
    train_method(settings, whole, tmp_path / "whole", lines.append)
    resumed, expected = (
        load_file(tmp_path / name / "model.safetensors") for name in ("run", "whole")
    )
    assert all(np.array_equal(resumed[name], tensor) for name, tensor in expected.items())
