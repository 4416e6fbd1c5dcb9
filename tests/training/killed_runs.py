"""Trains runs in forked children that are killed over and over; says what came of it as JSON. For test_kills.py.

A process of its own, so that the tests' is not forked; it imports everything once and computes nothing itself.
"""

import gc
import json
import os
import random
import signal
import sys
import time
import traceback
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pandas  # noqa: F401  so that no child has to import it
import pyarrow.parquet  # noqa: F401
import torch

from gradmix.files import TEMPORARY_MARK
from gradmix.methods.mixers import MIXERS
from gradmix.nets.registry import NETWORKS
from gradmix.terms.registry import TERMS
from gradmix.training.job import Run
from gradmix.training.run import train_runs
from gradmix.training.store import CHECKPOINT

FILES = ("model.safetensors", "curves.parquet")


class Case:
    """One method's runs below a folder."""

    def __init__(self, call, name, folder, chance):
        self.name, self.folder, self.chance = name, folder, chance
        self.run = Run.from_json(call["runs"][name])
        self.found = {"kills": 0, "inside_writes": 0, "runs": 0, "resumed_at": []}

    def start(self, run):
        """A child that trains; its number."""
        child = os.fork()
        if child:
            return child
        status = 1
        try:
            with open(run / "log", "a", buffering=1) as log:
                job = replace(self.run.job, store=run / "store")
                this = replace(self.run, job=job, output=run / "run")
                train_runs([this], lambda line: print(line, file=log))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def content(self, run):
        return [(run / "run" / name).read_bytes() for name in FILES]

    def torture(self, kills):
        """Kill and start again until so many kills are reached, and every run has ended whole."""
        whole = self.folder / "whole"
        whole.mkdir(parents=True)
        began = time.monotonic()
        assert _ended(self.start(whole)) == 0, self.name
        seconds, expected = time.monotonic() - began, self.content(whole)
        while self.found["kills"] < kills:
            run = self.folder / str(self.found["runs"])
            run.mkdir()
            status = None
            while status != 0:
                child = self.start(run)
                if self.found["kills"] < kills:
                    self.wait_for_the_moment(child, run, seconds)
                    os.kill(child, signal.SIGKILL)  # until it is reaped its number is its own
                status = _ended(child)
                if status == -signal.SIGKILL:
                    self.found["kills"] += 1
                    self.found["inside_writes"] += bool(_half_written(run))
                elif self.found["kills"] < kills:
                    seconds *= 0.7  # the run was quicker than the machine was at first
                assert status in (0, -signal.SIGKILL), self.name
            self.found["runs"] += 1
            assert self.content(run) == expected, f"{self.name}: another result"
            left = [path for path in run.rglob("*") if TEMPORARY_MARK in path.name]
            assert not [path for path in left if "store" in path.parts], left
            lines = (run / "log").read_text().splitlines()
            self.found["resumed_at"] += [int(x.split()[-1]) for x in lines if x[:7] == "resumed"]
        return self.found

    def wait_for_the_moment(self, child, run, seconds):
        """A random one; from it on perhaps that at which a checkpoint is whole, or is being written."""
        end = time.monotonic() + seconds * self.chance.uniform(0.05, 0.8)
        writing, whole = self.chance.random() < 0.5, self.chance.random() < 0.5
        while not _gone(child):
            now = time.monotonic()
            if (
                now >= end
                and (not whole or any((run / "store").glob(f"*/*{CHECKPOINT}")))
                and (not writing or _half_written(run))
            ):
                return
            time.sleep(0.0003 if now >= end else min(0.005, end - now))


def _half_written(run):
    """Temporary files of checkpoints, present right now."""
    return [
        name
        for folder in (run / "store").glob("*")
        for name in os.listdir(folder)
        if TEMPORARY_MARK in name and "checkpoint" in name
    ]


def _gone(child):
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main():
    call = json.loads(sys.argv[1])
    # What children would import one by one; torch's optimizers import its compiler, which takes longer than a run.
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    for part in MIXERS.values():
        import_module(part.kind.rpartition(".")[0])
    for name in [*(f"terms.{term}" for term in TERMS), *(f"nets.{net}" for net in NETWORKS)]:
        import_module(f"gradmix.{name}")
    # The memory that a child touches is copied: let no collection of garbage touch all of it.
    gc.freeze()
    gc.disable()
    cases = [
        Case(call, name, Path(call["folder"], name), random.Random(f"{call['seed']}-{name}"))
        for name in call["runs"]
    ]
    print(json.dumps({case.name: case.torture(call["kills"]) for case in cases}))


if __name__ == "__main__":
    main()
