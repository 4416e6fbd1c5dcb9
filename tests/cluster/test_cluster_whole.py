"""The miniature of the default experiment, from clone to report, through the profile."""

import subprocess
import sys
from pathlib import Path

import pytest
from cluster_workflow import SITE, SMALL_NODES, Controller, all_jobs, environment


@pytest.fixture(scope="module")
def whole(stories) -> Controller:
    controller = stories["whole"].result()
    assert controller.process.returncode == 0, controller.text[-6000:]
    return controller


def test_the_report_is_there_and_nothing_is_left_to_do(whole):
    assert (whole.folder / "results" / "report.html").stat().st_size > 100_000
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm"]
    command += ["--configfile", "mini.yaml", *SITE, *SMALL_NODES]
    again = subprocess.run(
        command, cwd=whole.folder, env=environment(), capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
    assert "Nothing to be done" in again.stdout + again.stderr


def test_gpu_jobs_go_to_gpus_and_are_never_more_than_these(whole):
    on_gpus = [job for job in whole.jobs() if "gres" in job.get("TresPerJob", "")]
    assert len(on_gpus) >= 5, "too few jobs to see anything"
    assert {job["Partition"] for job in on_gpus} == {"gpu"}
    for job in on_gpus:
        # Times are full seconds and sort as text.
        at_once = [o for o in on_gpus if o["StartTime"] <= job["StartTime"] < o["EndTime"]]
        assert len(at_once) <= 2, at_once
        assert len({other["NodeList"] for other in at_once}) == len(at_once), "a GPU was shared"


def test_other_jobs_go_elsewhere(whole):
    without = [job for job in whole.jobs() if "gres" not in job.get("TresPerJob", "")]
    assert without
    assert {job["Partition"] for job in without} == {"cpu"}


def test_short_jobs_share_a_slurm_job(whole):
    comments = [job["Comment"] for job in whole.jobs()]
    assert len([c for c in comments if "results" in c]) == 1, comments
    assert not [c for c in comments if c.startswith("rule_figure")]
    evaluations = [c for c in comments if "evaluat" in c]
    assert 1 <= len(evaluations) < 4, comments


def test_memory_and_time_are_those_of_the_configuration(whole):
    (training, *_) = [job for job in whole.jobs() if job["Comment"].startswith("rule_train")]
    assert training["MinMemoryNode"] == "1500M"
    assert training["TimeLimit"] == "00:10:00"


def test_nothing_runs_outside_the_queue(whole):
    ours = [job for job in all_jobs() if job["JobName"] == whole.run_id()]
    assert {job["JobState"] for job in ours} == {"COMPLETED"}
    assert Path(whole.folder, "results/.store/slurm_runs", whole.run_id()).exists()
