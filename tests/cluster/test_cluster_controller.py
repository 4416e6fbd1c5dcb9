"""The time limit, and a controller that is killed while its jobs run on."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cluster_workflow import Controller, environment, in_queue, lines_with, until

ENDLESS = "results/runs/0/0/source_only/run.json"
SHORT = "results/runs/3/0/target_only/run.json"
COMMENT = "rule_train_wildcards_0_0_source_only"


@pytest.fixture(scope="module")
def story(slurm, with_splits) -> dict[str, Any]:
    """An endless training runs into its limit, goes on, outlives its controller, and is taken over by the next."""
    folder = with_splits(
        methods={"target_only": {}, "source_only": {}},
        training={"steps": 10_000_000, "evaluate_every": 100},
        tuning={"budget": 1},
        resources={"gpu": 0, "memory_mb": 1200, "runtime_minutes": 1, "checkpoint_seconds": 5},
    )
    log = folder / "results/logs/train/0/0/source_only.log"
    first = Controller.start(folder, SHORT, ENDLESS)
    done = until(lambda: stored(folder), first)
    # The limit of a minute is hit, and the training goes on with one of two minutes.
    until(lambda: lines_with(log, "resumed at step"), first)
    resumed = step_in(lines_with(log, "resumed at step")[-1])
    until(lambda: progress(log) > resumed, first)
    limited = first.jobs_of(COMMENT)

    first.kill()
    outlived = in_queue(first.run_id())
    at_kill = progress(log)
    # What the user does: the lock of a killed snakemake is its own to open.
    command = [sys.executable, "-m", "snakemake", "--unlock", "--configfile", "mini.yaml"]
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
    second = Controller.start(folder, SHORT, ENDLESS)
    until(lambda: second.jobs_of(COMMENT), second)
    until(lambda: any(step_in(line) >= at_kill for line in lines_with(log, "resumed at")), second)
    taken_over = [*first.jobs_of(COMMENT), *second.jobs_of(COMMENT)]
    second.interrupt()
    left = until(lambda: not in_queue(second.run_id()))
    return {
        **{"folder": folder, "first": first, "second": second, "limited": limited},
        **{"outlived": outlived, "taken_over": taken_over, "left": left, "done": done},
    }


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


def test_at_the_time_limit_a_checkpoint_is_written_and_the_next_has_more_time(story):
    assert [job["JobState"] for job in story["limited"]] == ["TIMEOUT", "RUNNING"]
    assert [job["TimeLimit"] for job in story["limited"]] == ["00:01:00", "00:02:00"]
    logs = sorted(story["folder"].glob(".snakemake/slurm_logs/rule_train/0_0_source_only/*.log"))
    assert logs


def test_a_job_outlives_a_killed_controller_and_is_cancelled_by_the_next(story):
    assert story["outlived"] == [story["limited"][-1]["JobId"]]
    assert f"still in the queue: {story['outlived'][0]}" in story["second"].text
    old, new = story["taken_over"][-2:]
    assert old["JobId"] == story["outlived"][0]
    assert old["JobState"] == "CANCELLED"
    # Neither twice in the queue nor beside its successor.
    assert new["StartTime"] >= old["EndTime"]
    assert len(story["second"].jobs_of(COMMENT)) == 1


def test_finished_runs_are_not_repeated(story):
    now = stored(story["folder"])
    assert {path: now[path] for path in story["done"]} == story["done"]
    record = json.loads((story["folder"] / SHORT).read_text())
    assert record["method"] == "target_only"
    assert record in map(json.loads, story["done"].values())


def test_ctrl_c_takes_the_jobs_along(story):
    assert story["left"]
    time.sleep(1)
    assert story["second"].process.returncode != 0
