"""GPUs are shared out among real processes; names stand for GPUs that this machine may not have."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from gradmix.training.slots import gpu_slot, gpus_in, installed_gpus

PROGRAM = """
import sys, time
from pathlib import Path
from gradmix.training.slots import gpu_slot
folder, seconds, per_gpu, whole = Path(sys.argv[1]), *map(float, sys.argv[2:])
with gpu_slot(["a", "b"], int(per_gpu), whole=int(whole), folder=folder) as gpus:
    print(time.time(), *gpus, flush=True)
    time.sleep(seconds)
    print(time.time(), flush=True)
"""
ROOT = Path(__file__).parents[2]


def job(folder: Path, seconds: float, per_gpu: int = 1, whole: int = 0) -> subprocess.Popen[str]:
    arguments = map(str, (folder, seconds, per_gpu, whole))
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def held(process: subprocess.Popen[str]) -> tuple[float, float, list[str]]:
    """Start and end of a job's slot, and its GPUs."""
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    first, second = out.splitlines()
    return float(first.split()[0]), float(second), first.split()[1:]


@pytest.mark.parametrize("per_gpu", [1, 2])
def test_no_more_jobs_than_slots_at_once_and_gpus_are_filled_evenly(tmp_path, per_gpu):
    jobs = [held(process) for process in [job(tmp_path, 0.8, per_gpu) for _ in range(6)]]
    for start, _, _ in jobs:
        now = Counter(gpu for s, e, gpus in jobs if s <= start < e for gpu in gpus)
        assert max(now.values()) <= per_gpu
    first = sorted(jobs)[:2]
    assert {gpus[0] for _, _, gpus in first} == {"a", "b"}, "a GPU is shared while another is free"


def test_a_killed_job_frees_its_slot(tmp_path):
    holders = [job(tmp_path, 60), job(tmp_path, 60)]
    names = {process.stdout.readline().split()[1] for process in holders}
    assert names == {"a", "b"}
    waiting = job(tmp_path, 0)
    time.sleep(1.0)
    assert waiting.poll() is None
    os.kill(holders[0].pid, signal.SIGKILL)
    _, _, gpus = held(waiting)
    assert len(gpus) == 1
    holders[1].kill()
    for process in holders:
        process.communicate()


def test_whole_gpus_are_taken_with_all_their_slots(tmp_path):
    small = job(tmp_path, 1.5, per_gpu=2)
    small.stdout.readline()
    large = job(tmp_path, 0.5, per_gpu=2, whole=2)
    out, _ = small.communicate(timeout=60)
    start, _, gpus = held(large)
    assert gpus == ["a", "b"]
    assert start >= float(out)


def test_waiting_is_said_once(tmp_path):
    lines: list[str] = []
    holder = job(tmp_path, 2.0)
    holder.stdout.readline()
    with gpu_slot(["a"], folder=tmp_path, log=lines.append) as gpus:
        assert gpus == ["a"]
    assert lines == ["waiting for a GPU: all slots are taken (1 GPUs, 1 each)"]
    holder.communicate(timeout=60)


def test_more_gpus_than_there_are(tmp_path):
    with (
        pytest.raises(ValueError, match="3 GPUs are asked for, but there are 2"),
        gpu_slot(["a", "b"], whole=3, folder=tmp_path),
    ):
        pass


def test_gpus_in_a_listing():
    plain = "GPU 0: NVIDIA H200 (UUID: GPU-1a-2b)\nGPU 1: NVIDIA H200 (UUID: GPU-3c)\n"
    assert gpus_in(plain) == ["GPU-1a-2b", "GPU-3c"]
    split = (
        "GPU 0: NVIDIA A100 (UUID: GPU-1a)\n"
        "  MIG 3g.20gb Device 0: (UUID: MIG-5e)\n  MIG 3g.20gb Device 1: (UUID: MIG-6f)\n"
        "GPU 1: NVIDIA A100 (UUID: GPU-3c)\n"
    )
    assert gpus_in(split) == ["MIG-5e", "MIG-6f", "GPU-3c"]


def test_the_variable_goes_before_the_listing(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-1a")
    assert installed_gpus() == ["3", "GPU-1a"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert installed_gpus() == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,-1,2")
    assert installed_gpus() == ["1"]
