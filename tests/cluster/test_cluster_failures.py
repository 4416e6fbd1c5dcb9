"""What a cluster does to jobs: a node goes down, somebody cancels, a training fails; the others go on."""

import re
from pathlib import Path

import pytest
from cluster_workflow import Controller, lines_with
from stories import CANCELLED, FAILING, LOST, comment, log_of


@pytest.fixture(scope="module")
def failures(stories) -> Controller:
    return stories["failures"].result()


def states(controller: Controller, run: str) -> list[str]:
    return [job["JobState"] for job in controller.jobs_of(comment(run))]


def record_of(controller: Controller, run: str) -> Path:
    return controller.folder / "results" / "runs" / run / "run.json"


def test_a_training_whose_node_went_down_goes_on_elsewhere(failures):
    assert states(failures, LOST)[-2:] == ["NODE_FAIL", "COMPLETED"]
    assert lines_with(log_of(failures.folder, LOST), "resumed at step")
    assert record_of(failures, LOST).exists()


def test_a_cancelled_training_goes_on_from_its_last_step(failures):
    found = states(failures, CANCELLED)
    assert found[-1] == "COMPLETED"
    assert "CANCELLED" in found
    (line,) = lines_with(log_of(failures.folder, CANCELLED), "resumed at step")
    assert int(line.split()[-1]) >= 40
    assert record_of(failures, CANCELLED).exists()


def test_a_failing_job_is_tried_three_times_with_more_memory_and_time_each(failures):
    jobs = failures.jobs_of(comment(FAILING))
    assert [job["JobState"] for job in jobs] == ["FAILED"] * 3
    assert [job["MinMemoryNode"] for job in jobs] == ["1200M", "2400M", "3600M"]
    assert [job["TimeLimit"] for job in jobs] == ["00:10:00", "00:20:00", "00:30:00"]


def test_the_message_leads_to_the_log_and_the_log_names_the_fault(failures):
    assert failures.process.returncode == 1
    log = log_of(failures.folder, FAILING)
    assert str(log.relative_to(failures.folder)) in failures.text
    fault = r"method target_only, k = 3, draw 0: .*step \d+.*NaN or infinite"
    assert re.search(fault, log.read_text())
    # SLURM's own log of it is kept, is named as well, and has the sentence.
    kept = re.findall(r"\S+/slurm_logs/rule_train/3_0_target_only/\d+\.log", failures.text)
    assert kept
    assert re.search(fault, Path(kept[-1]).read_text())
