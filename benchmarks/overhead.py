"""What the workflow's machinery costs: reading it, starting a job, sending it to SLURM, for one run a job and many.

    python -m benchmarks.overhead [--members 8] [--slurm] [--record]

A miniature of the default experiment whose trainings take four steps: what a job costs is what its machinery costs.
The grid is trained in turn with one run a job and with all runs in one. Local jobs run one at a time and are measured
in processor seconds of everything below snakemake, which other work on the machine changes little; jobs on SLURM (the
tests' own, on this machine; needs root) in seconds from their start to their end.
"""

import argparse
import contextlib
import json
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measuring import machine

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("workflow", "cluster")]


def main() -> None:
    """Measure, print, and keep the record if asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=8, help="runs of the grid")
    parser.add_argument(
        "--slurm", action="store_true", help="start a SLURM and measure there as well"
    )
    parser.add_argument("--record", action="store_true", help="write results/overhead.json")
    asked = parser.parse_args()
    rows = measure(members=asked.members, slurm=asked.slurm)
    command = f"python -m benchmarks.overhead --members {asked.members}" + " --slurm" * asked.slurm
    record = {"command": command, **machine(), **rows}
    print(json.dumps(record, indent=2))
    if asked.record:
        path = ROOT / "benchmarks" / "results" / "overhead.json"
        path.write_text(json.dumps(record, indent=2) + "\n")


def measure(quick: bool = False, members: int = 6, slurm: bool = False) -> dict[str, Any]:
    """Reading, imports, local jobs, and jobs on a SLURM of its own if asked; ``quick``: imports only."""
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rows["imports"] = imports()
        if quick:
            return rows
        rows["reading"] = reading(folder / "read")
        rows["local"] = local(folder / "local", members)
        if slurm:
            with _a_slurm(folder / "lab"):
                rows["slurm"] = on_slurm(folder / "slurm", members)
    return rows


def reading(folder: Path) -> dict[str, Any]:
    """Dry runs: of nothing to be done but a report, and of the paper's experiments."""
    _make(folder, members=2)
    plans = {}
    for name in ("mini.yaml", "config/actions.yaml", "config/digits.yaml"):
        options = ("--dry-run", "--quiet", "rules", "--configfile", name)
        text, processor, wall = _snakemake(folder, *options)
        jobs = re.findall(r"^total\s+(\d+)$", text, re.MULTILINE)[-1]
        plans[name] = {"jobs": int(jobs), "processor_s": processor, "wall_s": wall}
    return plans


def imports() -> dict[str, float]:
    """Processor seconds of a Python that imports what jobs import; the least of three."""
    programs = {
        "nothing": "pass",
        "configuration": "import gradmix.config",
        "training": "import gradmix.training.run",
        "evaluation": "import gradmix.training.predict",
        "tables": "import gradmix.results.tables",
    }
    return {
        name: min(_processor_of(program) for _ in range(3)) for name, program in programs.items()
    }


def _processor_of(program: str) -> float:
    before = _children()
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, env=_environment())
    return round(_children() - before, 2)


def local(folder: Path, members: int) -> dict[str, Any]:
    """A job a run against a job for all of them, one job at a time."""
    result: dict[str, Any] = {"members": members}
    _make(folder, members)
    _snakemake(folder, "--cores", "1", "splits", "results/packs/split/3/0.json")
    _, result["idle_processor_s"], _ = _snakemake(folder, "--cores", "1", "splits")
    for size in (1, members):
        _set_pack(folder, size)
        for made in ("packs/train_grid", "packs/select", ".store"):
            shutil.rmtree(folder / "results" / made, ignore_errors=True)
        _, processor, wall = _snakemake(folder, "--cores", "1", "results/packs/select/3/0.json")
        result[f"runs_per_job={size}"] = {"processor_s": processor, "wall_s": wall}
    single, packed = result["runs_per_job=1"], result[f"runs_per_job={members}"]
    for key in ("processor_s", "wall_s"):
        saved = (single[key] - packed[key]) / (members - 1)
        result[f"a_job_more_{key}"] = round(saved, 2)
    return result


def on_slurm(folder: Path, members: int) -> dict[str, Any]:
    """Seconds from start to end of the same jobs on SLURM, and of the whole from submission to last status."""
    from cluster_workflow import Controller

    result: dict[str, Any] = {"members": members}
    _make(folder, members)
    _snakemake(
        folder, "--cores", "1", "results/packs/split/3/0.json", "results/packs/split/0/0.json"
    )
    for size in (1, members):
        _set_pack(folder, size)
        for made in ("packs/train_grid", "packs/select", ".store"):
            shutil.rmtree(folder / "results" / made, ignore_errors=True)
        started = time.monotonic()
        controller = Controller.start(folder, "results/packs/select/3/0.json")
        if controller.wait(1800) != 0:
            raise RuntimeError(controller.text[-3000:])
        jobs = [job for job in controller.jobs() if "train_grid" in job["Comment"]]
        seconds = [_run_time(job["RunTime"]) for job in jobs]
        result[f"runs_per_job={size}"] = {
            "jobs": len(jobs),
            "job_s_median": statistics.median(seconds),
            "job_s_range": [min(seconds), max(seconds)],
            "wall_s": round(time.monotonic() - started, 1),
        }
    return result


def _run_time(text: str) -> int:
    hours, minutes, seconds = map(int, text.split(":"))
    return 3600 * hours + 60 * minutes + seconds


def _make(folder: Path, members: int) -> None:
    from experiment import make_workflow

    make_workflow(ROOT, folder)
    _change(
        folder,
        grid={"beta": [10.0], "gamma": [round(0.05 * n, 2) for n in range(members)]},
        resources={"gpu": 0, "memory_mb": 1200},
    )


def _set_pack(folder: Path, size: int) -> None:
    grid = yaml.safe_load((folder / "mini.yaml").read_text())["grid"]
    _change(folder, grid=grid | {"runs_per_job": size})


def _change(folder: Path, **keys: Any) -> None:
    path = folder / "mini.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | keys, sort_keys=False))


def _snakemake(folder: Path, *options: str) -> tuple[str, float, float]:
    """Its output, processor seconds of it and all below it, and seconds on the clock."""
    command = [sys.executable, "-m", "snakemake", *options]
    if "--configfile" not in options:
        command += ["--configfile", "mini.yaml"]
    before, started = _children(), time.monotonic()
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError((done.stdout + done.stderr)[-3000:])
    seconds = time.monotonic() - started
    return done.stdout + done.stderr, round(_children() - before, 1), round(seconds, 1)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _environment() -> dict[str, str]:
    from cluster_workflow import environment as of_a_user

    return of_a_user() | {"OMP_NUM_THREADS": "1"}


@contextlib.contextmanager
def _a_slurm(root: Path) -> Iterator[None]:
    from slurm_lab import start, stop

    root.mkdir()
    root = root.resolve()
    start(root)
    try:
        yield
    finally:
        stop(root)


if __name__ == "__main__":
    main()
