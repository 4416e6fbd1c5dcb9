"""The workflow, submitted to the SLURM of `slurm_lab` through ``profiles/slurm``."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 300.0  # seconds

# What another site would write into the profile: its partitions, no account, and nodes of 6 GB and one GPU.
SITE = (
    "--slurm-no-account",
    "--slurm-partition-config=profiles/slurm/partitions.yaml",
    "--slurm-init-seconds-before-status-checks=1",
)
FRAGILE = "slurm_partition=fragile"  # a default resource; goes before the choice by the partitions' limits
SMALL_NODES = (
    "--resources",
    "gpu=1",
    "mem_mb=5500",
    "--default-resources",
    "mem_mb=1000",
    "runtime=10",
)


@dataclass
class Controller:
    """A ``snakemake`` that submits, and what it printed.

    Attributes:
        folder: its working directory, a copy of the workflow.
        process: it.
        log: its output.
    """

    folder: Path
    process: subprocess.Popen[bytes] = field(repr=False)
    log: Path

    @classmethod
    def start(
        cls, folder: Path, *targets: str, default_resources: tuple[str, ...] = ()
    ) -> "Controller":
        """Start one for these targets, or for the whole experiment."""
        log = folder / f"controller{len(list(folder.glob('controller*.log')))}.log"
        command = [
            # Whoever runs the tests in the background has made them deaf to Ctrl-C.
            *("env", "--default-signal=INT"),
            sys.executable,
            "-m",
            "snakemake",
            *targets,
            "--workflow-profile",
            "profiles/slurm",
        ]
        command += ["--configfile", "mini.yaml", *SITE, *SMALL_NODES, *default_resources]
        with open(log, "wb") as file:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment(),
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(folder, process, log)

    @property
    def text(self) -> str:
        """All it printed so far."""
        return self.log.read_text()

    def wait(self, seconds: float = 2 * PATIENCE) -> int:
        """Its exit status."""
        return self.process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL, to it and to nothing that it submitted."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE)

    def run_id(self) -> str:
        """The name of its jobs in the queue."""
        return until(lambda: re.findall(r"^SLURM run ID: (\S+)$", self.text, re.M), self)[0]

    def jobs(self) -> list[dict[str, str]]:
        """What SLURM says of its jobs, in the order of their submission."""
        return [job for job in all_jobs() if job["JobName"] == self.run_id()]

    def jobs_of(self, comment: str) -> list[dict[str, str]]:
        """Its jobs of that rule and these wildcards."""
        return [job for job in self.jobs() if job.get("Comment") == comment]


def environment() -> dict[str, str]:
    """A user's, in which compiled Python is kept."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def until(
    found: Callable[[], Any], controller: Controller | None = None, seconds: float = PATIENCE
) -> Any:
    """What ``found`` returns once it is something; fails when time is up or the controller has ended without it."""
    end = time.monotonic() + seconds
    while True:
        ended = controller is not None and controller.process.poll() is not None
        result = found()
        if result:
            return result
        told = controller.text[-4000:] if controller is not None else ""
        assert not ended, f"the controller ended:\n{told}"
        assert time.monotonic() < end, f"nothing in {seconds} s\n{told}"
        time.sleep(0.1)


def all_jobs() -> list[dict[str, str]]:
    """Every job that SLURM remembers."""
    done = subprocess.run(
        ["scontrol", "--oneliner", "show", "job"], capture_output=True, text=True, check=True
    )
    jobs = [
        dict(word.split("=", 1) for word in line.split() if "=" in word)
        for line in done.stdout.splitlines()
        if line.startswith("JobId=")
    ]
    return sorted(jobs, key=lambda job: int(job["JobId"]))


def in_queue(run_id: str) -> list[str]:
    """IDs of jobs that are not over."""
    command = ["squeue", "--noheader", f"--name={run_id}", "--format=%A"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def scontrol(*arguments: str, check: bool = True) -> None:
    """Tell SLURM something."""
    subprocess.run(["scontrol", *arguments], check=check, capture_output=True)


def lines_with(path: Path, words: str) -> list[str]:
    """Lines of a file that may not be there yet."""
    try:
        return [line for line in path.read_text().splitlines() if words in line]
    except FileNotFoundError:
        return []
