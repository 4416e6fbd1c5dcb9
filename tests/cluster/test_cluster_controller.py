"""The time limit, and a controller that is killed while its jobs run on."""

import json
from typing import Any

import pytest
from stories import ENDLESS, SHORT, comment, stored


@pytest.fixture(scope="module")
def story(stories) -> dict[str, Any]:
    return stories["controller"].result()


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
    assert len(story["second"].jobs_of(comment(ENDLESS))) == 1


def test_finished_runs_are_not_repeated(story):
    now = stored(story["folder"])
    assert {path: now[path] for path in story["done"]} == story["done"]
    record = json.loads((story["folder"] / "results/runs" / SHORT / "run.json").read_text())
    assert record["method"] == "target_only"
    assert record in map(json.loads, story["done"].values())


def test_ctrl_c_takes_the_jobs_along(story):
    assert story["left"]
    assert story["second"].process.returncode != 0
