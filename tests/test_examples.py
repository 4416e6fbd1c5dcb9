"""The examples in loops of other libraries run as scripts and learn the target's task."""

import os
import re
import subprocess
import sys

import pytest


@pytest.mark.long
@pytest.mark.parametrize("library", ["lightning", "accelerate"])
def test_the_loop_learns(library, repository, tmp_path):
    pytest.importorskip(library, reason="the extra `examples` is not installed (`make test-long`)")
    script = repository / "examples" / f"{library}_loop.py"
    paths = [str(repository), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(re.search(r"^accuracy (.*)$", done.stdout, re.M).group(1)) > 0.5  # chance: 0.2
