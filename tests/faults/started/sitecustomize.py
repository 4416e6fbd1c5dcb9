"""First in PYTHONPATH of a Snakemake under test: keeps the scripts that it starts, or ends one at a given moment."""

import os
import shutil
import sys
import threading
import time
from pathlib import Path


def _end_after(seconds: float, signal: int) -> None:
    time.sleep(seconds)
    os.kill(os.getpid(), signal)


for _script in [Path(word) for word in sys.orig_argv if "/.snakemake/scripts/" in word]:
    _stage = _script.name.split(".")[1]
    if _folder := os.environ.get("FAULTS_KEEP"):
        shutil.copy(_script, Path(_folder, f"{time.time_ns()}.{_stage}.py"))
    if _order := os.environ.get("FAULTS_KILL"):
        _wanted, _signal, _seconds, _flag = _order.split(":", 3)
        if _wanted == _stage and os.path.exists(_flag):
            os.unlink(_flag)  # once
            threading.Thread(
                target=_end_after, args=(float(_seconds), int(_signal)), daemon=True
            ).start()
