"""Two processes that by mistake train the same run: the second is told of the first, and the first of the second."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from gradmix.training.candidates import candidate_folder
from gradmix.training.lock import LOCK, RunInUseError, RunLock, run_lock
from gradmix.training.store import CHECKPOINT, RECORD, RunStore

HOLDER = """
import sys, time
from pathlib import Path
from gradmix.training.lock import run_lock
with run_lock(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def quiet(line):
    pass


@pytest.fixture
def holder(tmp_path, monkeypatch):
    """Another process that holds the lock of ``tmp_path / "run"`` for so many seconds."""
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    started = []

    def hold(seconds):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path / "run"), str(seconds)],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        monkeypatch.delenv("SLURM_JOB_ID")
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def without_locks(monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)


def test_the_second_is_told_who_the_first_is(holder, tmp_path):
    process, lines = holder(60), []
    with pytest.raises(RunInUseError) as caught, run_lock(tmp_path / "run", lines.append, 0.2):
        pass
    told = rf"process {process.pid} on {os.uname().nodename} \(SLURM job 4711\) since \d{{4}}-"
    assert caught.match(rf"{tmp_path / 'run'}: this run is being trained by {told}")
    assert lines[0].startswith(f"waiting up to 0.2 s: the run is held by process {process.pid}")


def test_a_lock_is_waited_for(holder, tmp_path):
    holder(0.5)
    with run_lock(tmp_path / "run", quiet, 30.0):
        owner = json.loads((tmp_path / "run" / LOCK).read_text())
    assert owner["pid"] == os.getpid()
    assert owner["slurm_job"] is None


def test_a_killed_owner_leaves_no_lock_and_its_left_overs_are_cleared(holder, tmp_path):
    process = holder(60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for folder in (tmp_path / "run", tmp_path / "run" / "done"):
        folder.mkdir(exist_ok=True)
        (folder / ".checkpoint.unfinished-1-ab.safetensors").touch()
        (folder / "kept").touch()
    with run_lock(tmp_path / "run", quiet, 0.0):
        left = {path.name for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert left == {"kept", LOCK}


@pytest.fixture
def taken_over(tmp_path, without_locks):
    """A store whose run another process has taken over, on a file system without locks."""
    store, lines = RunStore(tmp_path, {"settings": 1}), []
    with store.held(lines.append):
        store.save({"a": torch.zeros(1)}, {"step": 1})
        assert "has no locks (No locks available)" in lines[0]
        other = RunLock(store.folder, lines.append)
        other.take(0)
        yield store
        other.release()


def test_who_was_taken_over_writes_nothing(taken_over, tmp_path):
    store = taken_over
    before = (store.folder / CHECKPOINT).read_bytes()
    message = (
        rf"{store.folder}: this run was taken over by process {os.getpid()} on .*; nothing was"
    )
    with pytest.raises(RunInUseError, match=message):
        store.save({"a": torch.ones(1)}, {"step": 2})
    (tmp_path / "run").mkdir()
    for name in RECORD:
        (tmp_path / "run" / name).write_text(name)
    with pytest.raises(RunInUseError, match=message):
        store.finish(tmp_path / "run")
    assert (store.folder / CHECKPOINT).read_bytes() == before
    assert not (store.folder / "done").exists()


def test_a_takeover_during_the_writing_is_noticed_before_the_file_is_replaced(
    tmp_path, without_locks, monkeypatch
):
    from gradmix.training import store as store_module

    store, original = RunStore(tmp_path, {"settings": 1}), store_module.save_file
    with store.held(quiet):
        store.save({"a": torch.zeros(1)}, {"step": 1})

        def save_file(*arguments, **options):
            original(*arguments, **options)
            RunLock(store.folder, quiet).take(0)

        monkeypatch.setattr(store_module, "save_file", save_file)
        with pytest.raises(RunInUseError, match="taken over"):
            store.save({"a": torch.ones(1)}, {"step": 2})
    assert store.load()[1] == {"step": 1}
    assert not list(store.folder.glob(".*"))


def test_a_deleted_store_is_made_anew(tmp_path):
    store = RunStore(tmp_path, {"settings": 1})
    with store.held(quiet):
        for path in [*store.folder.iterdir()]:
            path.unlink()
        store.folder.rmdir()
        store.save({"a": torch.zeros(1)}, {"step": 1})
        with pytest.raises(RunInUseError), store.held(quiet, wait=0):
            pass
    assert store.load()[1] == {"step": 1}


def test_other_errors_of_locking_are_errors(tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output"), run_lock(tmp_path / "run", quiet):
        pass


def test_folders_of_candidates_that_killed_jobs_left_are_removed(tmp_path):
    with candidate_folder(tmp_path, quiet) as alive:
        dead, unknown = tmp_path / "candidates-dead", tmp_path / "candidates-unknown"
        dead.mkdir()
        unknown.mkdir()
        (dead / LOCK).write_text("{}")
        (dead / "run.json").touch()
        with candidate_folder(tmp_path, quiet) as other:
            assert {path.name for path in tmp_path.iterdir()} == {
                alive.name,
                other.name,
                unknown.name,
            }
    assert list(tmp_path.iterdir()) == [unknown]


def test_a_lock_that_is_being_written_is_somebodys(tmp_path):
    with run_lock(tmp_path, quiet) as lock:
        (tmp_path / LOCK).write_text('{"pid"')
        with pytest.raises(RunInUseError, match="taken over by another process"):
            lock.check()
