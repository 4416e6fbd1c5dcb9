"""The route for other schedulers: three commands in a profile."""

import subprocess
from pathlib import Path

import pytest
from cluster_workflow import all_jobs

RUN = "results/runs/3/0/target_only"


@pytest.fixture(scope="module")
def submitted(stories, tmp_path_factory) -> Path:
    done = stories["generic"].result()
    assert done.returncode == 0, done.stdout + done.stderr
    return next(tmp_path_factory.getbasetemp().glob("stories*/generic"))


def test_jobs_go_through_the_three_commands(submitted):
    assert (submitted / RUN / "metrics.json").exists()
    ours = [job for job in all_jobs() if job["WorkDir"] == str(submitted)]
    assert [job["JobName"] for job in ours] == ["gradmix.train", "gradmix.evaluate"]
    assert {job["JobState"] for job in ours} == {"COMPLETED"}
    assert {job["Partition"] for job in ours} == {"gpu"}
    assert ours[0]["MinMemoryNode"] == "1500M"


def test_the_status_command_knows_the_ways_to_end(submitted):
    def status(number: str) -> str:
        command = ["profiles/generic/status.sh", number]
        return subprocess.run(command, cwd=submitted, capture_output=True, text=True).stdout.strip()

    done = next(job for job in all_jobs() if job["WorkDir"] == str(submitted))
    assert status(done["JobId"]) == "success"
    assert status("99999999") == "failed"
    submit = ["sbatch", "--parsable", "--output=/dev/null", "--wrap=sleep 60"]
    number = subprocess.run(submit, capture_output=True, text=True, check=True).stdout.strip()
    assert status(number) == "running"
    subprocess.run(["scancel", number], check=True)
    for _ in range(100):
        if status(number) != "running":
            break
    assert status(number) == "failed"
