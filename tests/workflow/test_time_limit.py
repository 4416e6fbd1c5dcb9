"""The limit ends what hangs, and waits where the machine is slow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import time_limit
from time_limit import run_limited


def run(code, seconds):
    command = [sys.executable, "-c", code]
    return run_limited(command, seconds=seconds, cwd=Path.cwd(), env=dict(os.environ))


def test_output_comes_back():
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    done = run(code, 60)
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_what_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(time_limit, "slowness", lambda: 1.0)
    monkeypatch.setattr(time_limit, "measured_slowness", lambda: 1.0)
    with pytest.raises(subprocess.TimeoutExpired):
        run("import time; time.sleep(600)", 0.5)


def test_a_machine_that_grew_slow_is_waited_for(monkeypatch):
    monkeypatch.setattr(time_limit, "slowness", lambda: 1.0)
    monkeypatch.setattr(time_limit, "measured_slowness", lambda: 1000.0)
    done = run("import time; print('first', flush=True); time.sleep(1); print('last')", 0.5)
    assert done.stdout == "first\nlast\n"


def test_slowness_is_at_least_one():
    assert time_limit.measured_slowness() >= 1
