"""GPUs are shared out among real processes; names stand for GPUs that this machine may not have."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
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


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The machine's folder for temporary files, as a job sees it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_planted_link_opens_no_folder_to_others(temporary):
    own = temporary / "own"
    own.mkdir(mode=0o700)
    (temporary / "gradmix-gpus").symlink_to(own)
    with (
        pytest.raises(ValueError, match=r"gradmix-gpus: must be a folder, .* is a link"),
        gpu_slot(["a"]),
    ):
        pass
    assert mode(own) == 0o700
    assert not list(own.iterdir())


def test_a_planted_link_is_no_lock_file(temporary):
    private = temporary / "private"
    private.write_text("kept")
    private.chmod(0o600)
    folder = temporary / "gradmix-gpus"
    folder.mkdir()
    (folder / "a.slot0.lock").symlink_to(private)
    with pytest.raises(ValueError, match=r"a\.slot0\.lock: cannot be used"), gpu_slot(["a"]):
        pass
    assert private.read_text() == "kept"
    assert mode(private) == 0o600
    (folder / "a.slot0.lock").unlink()
    (folder / "a.slot0.lock").symlink_to(temporary / "new")
    with pytest.raises(ValueError, match=r"a\.slot0\.lock: cannot be used"), gpu_slot(["a"]):
        pass
    assert not (temporary / "new").exists()


def test_every_user_of_the_machine_can_open_the_locks_and_delete_those_of_nobody_else(temporary):
    before = os.umask(0o077)
    try:
        with gpu_slot(["a"]):
            pass
    finally:
        os.umask(before)
    assert mode(temporary / "gradmix-gpus") == 0o1777
    locks = list((temporary / "gradmix-gpus").iterdir())
    assert {path.name for path in locks} >= {"looking.lock", "a.slot0.lock"}
    assert {mode(path) for path in locks} == {0o666}
