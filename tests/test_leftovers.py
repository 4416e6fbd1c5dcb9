"""What can be told without a cluster; the rest is in tests/cluster."""

import shutil

import pytest

from gradmix.leftovers import cancel_leftovers, run_id_in


def test_the_run_id_is_read_from_the_first_log_that_has_one(tmp_path):
    local, slurm = tmp_path / "local.log", tmp_path / "slurm.log"
    local.write_text("Building DAG of jobs...\n")
    slurm.write_text("Using shell: /usr/bin/bash\nSLURM run ID: 1a-2b\nJob 0 is SLURM run ID: no\n")
    assert run_id_in([str(local), str(slurm)]) == "1a-2b"
    assert run_id_in([str(local), str(tmp_path / "missing.log")]) is None
    assert run_id_in([]) is None


def test_a_first_controller_asks_nobody_and_leaves_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    cancel_leftovers(tmp_path / "runs", "mine", pytest.fail)
    cancel_leftovers(tmp_path / "runs", "mine", pytest.fail)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["mine"]


def test_nothing_is_submitted_while_slurm_does_not_answer(tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "earlier").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("squeue") is None
    with pytest.raises(RuntimeError, match="squeue: "):
        cancel_leftovers(tmp_path / "runs", "mine", pytest.fail)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["earlier"]
