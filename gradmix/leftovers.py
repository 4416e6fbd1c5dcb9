"""Cancels jobs that a killed `snakemake` left in a SLURM queue.

The controller's end does not end its jobs: started again, it would submit those that still wait or run a second time.
They are cancelled first. A training that is cancelled writes a checkpoint, from which its successor goes on.
"""

import re
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

_PATIENCE = 180.0  # seconds that SLURM may take to end a job


def run_id_in(log_files: Iterable[str]) -> str | None:
    """Read the name of a controller's jobs from the logs of `snakemake`; ``None`` where it does not use SLURM."""
    for path in log_files:
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        match = re.search(r"^SLURM run ID: (\S+)$", text, flags=re.MULTILINE)
        if match:
            return match[1]
    return None


def cancel_leftovers(folder: Path, run_id: str, say: Callable[[str], None]) -> None:
    """End the jobs of earlier controllers of this experiment, and note the present one's name.

    No other controller of the experiment is alive: the lock of its output folder would have stopped this one.

    Args:
        folder: a file per controller lies there, named as its jobs are.
        run_id: name of the present controller's jobs.
        say: gets a line where jobs are cancelled.

    Raises:
        RuntimeError: if SLURM does not answer, or does not end the jobs in some minutes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    earlier = sorted(path.name for path in folder.iterdir() if path.name != run_id)
    left = _jobs_named(earlier)
    if left:
        say(
            f"cancelling {len(left)} jobs of an earlier snakemake that are still in the queue: "
            f"{' '.join(left)}; trainings among them go on from their checkpoints"
        )
        _slurm("scancel", *left)
        end = time.monotonic() + _PATIENCE
        while left := _jobs_named(earlier):
            if time.monotonic() > end:
                raise RuntimeError(
                    f"SLURM does not end jobs {' '.join(left)} of an earlier snakemake; "
                    "end them (scancel) and start again"
                )
            time.sleep(1)
    for name in earlier:
        (folder / name).unlink()
    (folder / run_id).touch()


def _jobs_named(names: list[str]) -> list[str]:
    """List IDs of jobs of these names that wait, run or are about to end."""
    if not names:
        return []
    return _slurm(
        "squeue", "--noheader", "--me", f"--name={','.join(names)}", "--format=%A"
    ).split()


def _slurm(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{command[0]}: {error.stderr.strip()}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"{command[0]}: {error}") from None
    return done.stdout
