"""What happens on the cluster, from start to end; the tests look at what is left of it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from cluster_workflow import FRAGILE, Controller, environment, in_queue, lines_with, scontrol, until
from experiment import make_workflow

METHODS = ("target_only", "source_only", "gradmix", "gradmix_hard")
CANCELLED, LOST, FAILING = "0/0/source_only", "3/0/gradmix", "3/0/target_only"
ENDLESS = "0/0/source_only"
SHORT = "3/0/target_only"


def prepared(repository: Path, folder: Path) -> Path:
    """A workflow whose domains and splits are made, on this machine; to be copied and changed."""
    made = folder / "prepared"
    make_workflow(repository, made)
    methods: dict[str, Any] = {method: {} for method in METHODS}
    change(made, methods=methods, tuning={"budget": 1}, resources={"gpu": 1, "memory_mb": 1500})
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "results/packs/split/3/0.json",
        "results/packs/split/0/0.json",
    ]
    done = subprocess.run(
        [*command, "--cores", "2", "--configfile", "mini.yaml"],
        cwd=made,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return made


def whole(prepared: Path, folder: Path) -> Controller:
    """The miniature of the default experiment from raw data to the report, on GPUs that are none."""
    shutil.copytree(prepared, folder)
    shutil.rmtree(folder / "results")
    change(
        folder,
        grid={"beta": [5, 10], "gamma": [0.0, 0.5], "runs_per_job": 2},
        resources={"gpu": 1, "memory_mb": 1500, "runtime_minutes": 10},
    )
    controller = Controller.start(folder)
    controller.wait()
    return controller


def failures(prepared: Path, folder: Path) -> Controller:
    """Three trainings side by side: one loses its node, one is cancelled, one cannot succeed."""
    shutil.copytree(prepared, folder)
    cannot = {"training": {"learning_rate": 1e30}}
    change(
        folder,
        methods={"gradmix": {}, "source_only": {}, "target_only": cannot},
        training={"steps": 1500, "evaluate_every": 10},
        resources={"gpu": 0, "memory_mb": 1200, "runtime_minutes": 10, "checkpoint_seconds": 1},
    )
    controller = start(folder, CANCELLED, LOST, FAILING, default_resources=(FRAGILE,))
    # Each is hit when it has taken some steps.
    until(lambda: lines_with(log_of(folder, LOST), "step 40/"), controller)
    (job,) = controller.jobs_of(comment(LOST))
    scontrol("update", f"nodename={job['NodeList']}", "state=down", "reason=test")
    until(lambda: lines_with(log_of(folder, CANCELLED), "step 40/"), controller)
    subprocess.run(["scancel", controller.jobs_of(comment(CANCELLED))[-1]["JobId"]], check=True)
    # It comes back by itself where it still answers.
    scontrol("update", f"nodename={job['NodeList']}", "state=resume", check=False)
    controller.wait()
    return controller


def controller(prepared: Path, folder: Path) -> dict[str, Any]:
    """An endless training runs into its limit, goes on, outlives its controller, and is taken over by the next."""
    shutil.copytree(prepared, folder)
    change(
        folder,
        methods={"target_only": {}, "source_only": {}},
        training={"steps": 10_000_000, "evaluate_every": 100},
        resources={"gpu": 0, "memory_mb": 1200, "runtime_minutes": 1, "checkpoint_seconds": 5},
    )
    log = log_of(folder, ENDLESS)
    first = start(folder, SHORT, ENDLESS)
    done = until(lambda: stored(folder), first)
    # The limit of a minute is hit, and the training goes on with one of two minutes.
    until(lambda: lines_with(log, "resumed at step"), first)
    resumed = step_in(lines_with(log, "resumed at step")[-1])
    until(lambda: progress(log) > resumed, first)
    limited = first.jobs_of(comment(ENDLESS))

    first.kill()
    outlived = in_queue(first.run_id())
    at_kill = progress(log)
    second = start(folder, SHORT, ENDLESS)
    until(lambda: any(step_in(line) >= at_kill for line in lines_with(log, "resumed at")), second)
    taken_over = [*first.jobs_of(comment(ENDLESS)), *second.jobs_of(comment(ENDLESS))]
    second.interrupt()
    left = until(lambda: not in_queue(second.run_id()))
    return {
        **{"folder": folder, "first": first, "second": second, "limited": limited},
        **{"outlived": outlived, "taken_over": taken_over, "left": left, "done": done},
    }


def generic(prepared: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """A training and its evaluation through the profile for other schedulers."""
    shutil.copytree(prepared, folder)
    change(folder, methods={"target_only": {}})
    command = [sys.executable, "-m", "snakemake", f"results/packs/evaluate/{SHORT}.json"]
    command += ["--workflow-profile", "profiles/generic", "--configfile", "mini.yaml"]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=600
    )


STORIES: dict[str, Callable[[Path, Path], Any]] = {
    story.__name__: story for story in (whole, failures, controller, generic)
}


def start(folder: Path, *runs: str, default_resources: tuple[str, ...] = ()) -> Controller:
    targets = [f"results/packs/train/{run}.json" for run in runs]
    return Controller.start(folder, *targets, default_resources=default_resources)


def comment(run: str) -> str:
    """SLURM's comment on a run's job."""
    return "rule_train_wildcards_" + run.replace("/", "_")


def log_of(folder: Path, run: str) -> Path:
    return folder / f"results/logs/train/{run}.log"


def step_in(line: str) -> int:
    found = re.search(r"step (\d+)", line)
    assert found
    return int(found[1])


def progress(log: Path) -> int:
    """The last step in the log, resumed or taken."""
    return max((step_in(line) for line in lines_with(log, " step ")), default=0)


def stored(folder: Path) -> dict[str, str]:
    """Finished records in the store; the seconds in them tell one training from another of the same run."""
    records = folder.glob("results/.store/*/done/run.json")
    return {str(path): path.read_text() for path in records}


def change(folder: Path, **keys: Any) -> None:
    """Lay these keys over the miniature's; the keys of ``training`` over its training."""
    path = folder / "mini.yaml"
    config = yaml.safe_load(path.read_text())
    keys["training"] = config["training"] | keys.get("training", {})
    path.write_text(yaml.safe_dump(config | keys, sort_keys=False))
