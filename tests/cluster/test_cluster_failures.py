"""What a cluster does to jobs: a node goes down, somebody cancels, a training fails; the others go on."""

import re
import subprocess
from pathlib import Path

import pytest
from cluster_workflow import Controller, lines_with, scontrol, until

LOST, CANCELLED, FAILING = "gradmix", "source_only", "target_only"
RUNS = {method: f"results/runs/{0 if method == CANCELLED else 3}/0/{method}" for method in
        (LOST, CANCELLED, FAILING)}  # fmt: skip


@pytest.fixture(scope="module")
def failures(slurm, with_splits) -> Controller:
    """Three trainings side by side, of which two are ended from outside and one cannot succeed."""
    folder = with_splits(
        methods={LOST: {}, CANCELLED: {}, FAILING: {"training": {"learning_rate": 1e30}}},
        training={"steps": 1500, "evaluate_every": 10},
        tuning={"budget": 1},
        resources={"gpu": 0, "memory_mb": 1200, "runtime_minutes": 10, "checkpoint_seconds": 1},
    )
    controller = Controller.start(folder, *(f"{run}/run.json" for run in RUNS.values()))

    # Each is hit when it has taken some steps.
    until(lambda: lines_with(log_of(controller, LOST), "step 40/"), controller)
    (job,) = controller.jobs_of("rule_train_wildcards_3_0_gradmix")
    node = job["NodeList"]
    scontrol("update", f"nodename={node}", "state=down", "reason=test")
    until(lambda: lines_with(log_of(controller, CANCELLED), "step 40/"), controller)
    running = controller.jobs_of("rule_train_wildcards_0_0_source_only")
    subprocess.run(["scancel", running[-1]["JobId"]], check=True)
    # It comes back by itself where it still answers.
    scontrol("update", f"nodename={node}", "state=resume", check=False)
    controller.wait()
    return controller


def log_of(controller: Controller, method: str) -> Path:
    k = 0 if method == CANCELLED else 3
    return controller.folder / f"results/logs/train/{k}/0/{method}.log"


def states(controller: Controller, wildcards: str) -> list[str]:
    return [job["JobState"] for job in controller.jobs_of(f"rule_train_wildcards_{wildcards}")]


def test_a_training_whose_node_went_down_goes_on_elsewhere(failures):
    assert states(failures, "3_0_gradmix")[-2:] == ["NODE_FAIL", "COMPLETED"]
    assert lines_with(log_of(failures, LOST), "resumed at step")
    assert (failures.folder / RUNS[LOST] / "run.json").exists()


def test_a_cancelled_training_goes_on_from_its_last_step(failures):
    found = states(failures, "0_0_source_only")
    assert found[-1] == "COMPLETED"
    assert "CANCELLED" in found
    (line,) = lines_with(log_of(failures, CANCELLED), "resumed at step")
    assert int(line.split()[-1]) >= 40
    assert (failures.folder / RUNS[CANCELLED] / "run.json").exists()


def test_a_failing_job_is_tried_three_times_with_more_memory_and_time_each(failures):
    jobs = failures.jobs_of("rule_train_wildcards_3_0_target_only")
    # The first may have been on the node that went down.
    assert [job["JobState"] for job in jobs][1:] == ["FAILED"] * 2
    assert [job["MinMemoryNode"] for job in jobs] == ["1200M", "2400M", "3600M"]
    assert [job["TimeLimit"] for job in jobs] == ["00:10:00", "00:20:00", "00:30:00"]


def test_the_message_leads_to_the_log_and_the_log_names_the_fault(failures):
    assert failures.process.returncode == 1
    log = log_of(failures, FAILING)
    assert str(log.relative_to(failures.folder)) in failures.text
    fault = r"method target_only, k = 3, draw 0: .*step \d+.*NaN or infinite"
    assert re.search(fault, log.read_text())
    # SLURM's own log of it is kept, is named as well, and has the sentence.
    kept = re.findall(r"\S+/slurm_logs/rule_train/3_0_target_only/\d+\.log", failures.text)
    assert kept
    assert re.search(fault, Path(kept[-1]).read_text())
