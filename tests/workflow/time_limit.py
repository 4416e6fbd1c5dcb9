"""Subprocesses with a time limit that grows where the machine is slow or busy.

The limit is there for what hangs, so it is counted in a fixed piece of work: a start of Python that imports torch. It
is measured once a session, and again when a limit runs out, since other work may have come meanwhile.
"""

import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

# Of an idle core of the kind that the limits were set on.
USUAL_SECONDS = 2.5


def run_limited(
    command: list[str], *, seconds: float, cwd: Path, env: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command and collect its output.

    Args:
        command: the program and its arguments.
        seconds: the limit on an idle machine; on another one as many times more as the fixed work takes longer.
        cwd: its working directory.
        env: its environment.

    Raises:
        subprocess.TimeoutExpired: if it takes longer; it is killed.
    """
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    start = time.monotonic()
    limit = seconds * slowness()
    with subprocess.Popen(command, cwd=cwd, env=env, **pipes) as process:
        while True:
            try:
                out, err = process.communicate(timeout=limit - (time.monotonic() - start))
            except subprocess.TimeoutExpired:
                limit = max(limit, seconds * measured_slowness())
                if time.monotonic() - start >= limit:
                    process.kill()
                    raise
            except BaseException:
                process.kill()
                raise
            else:
                return subprocess.CompletedProcess(command, process.returncode, out, err)


@cache
def slowness() -> float:
    """How many times longer than usual the fixed work took when this session first asked; at least 1."""
    return measured_slowness()


def measured_slowness() -> float:
    """How many times longer than usual the fixed work takes now; at least 1."""
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return max(1.0, (time.monotonic() - start) / USUAL_SECONDS)
