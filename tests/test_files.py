"""Atomic writing: the old file or the whole new one, whatever happens in between."""

import json
import resource
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gradmix.files import (
    atomic_path,
    read_columns,
    read_json,
    remove_unfinished,
    sha256_of,
    write_bytes,
    write_columns,
    write_json,
    write_parquet,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_columns_come_back_as_they_were_and_pandas_reads_them(tmp_path):
    path = tmp_path / "table.parquet"
    columns = {
        "step": [0, 50],
        "loss": [float("nan"), 0.25],
        "half": np.array([0.5, 1.5], np.float32),
        "name": ["a", ""],
    }
    write_columns(path, columns)
    back = read_columns(path, ["step", "half", "name"])
    assert [back["step"].dtype, back["half"].dtype] == [np.int64, np.float32]
    assert {name: list(values) for name, values in back.items()} == {
        name: list(columns[name]) for name in back
    }
    pd.testing.assert_frame_equal(pd.read_parquet(path), pd.DataFrame(columns))


def test_a_missing_value_or_column_is_told(tmp_path):
    path = tmp_path / "table.parquet"
    write_parquet(path, pd.DataFrame({"x": [1.0, None]}))
    with pytest.raises(ValueError, match="a value is missing"):
        read_columns(path, ["x"])
    with pytest.raises(ValueError, match="lacks the columns y"):
        read_columns(path, ["x", "y"])


def test_every_kind_of_file_arrives_whole_and_alone(tmp_path):
    write_bytes(tmp_path / "a.bin", b"\x00\r\n")
    write_text(tmp_path / "a.txt", "é\n")
    write_json(tmp_path / "a.json", {"z": np.int64(3), "a": np.arange(2), "path": Path("x")})
    write_parquet(tmp_path / "a.parquet", pd.DataFrame({"x": [1, 2]}))

    assert (tmp_path / "a.bin").read_bytes() == b"\x00\r\n"
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "é\n"
    assert list(json.loads((tmp_path / "a.json").read_text())) == ["z", "a", "path"]
    assert json.loads((tmp_path / "a.json").read_text()) == {"z": 3, "a": [0, 1], "path": "x"}
    assert pd.read_parquet(tmp_path / "a.parquet").x.tolist() == [1, 2]
    assert names(tmp_path) == ["a.bin", "a.json", "a.parquet", "a.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_keeps_the_old_file_and_leaves_nothing(tmp_path, error):
    write_text(tmp_path / "a.txt", "old")

    def break_off():
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        break_off()
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_temporary_name_keeps_folder_and_suffix(tmp_path):
    with atomic_path(tmp_path / "new" / "model.safetensors") as temporary:
        assert temporary.parent == tmp_path / "new"
        assert temporary.suffix == ".safetensors"
        assert not (tmp_path / "new" / "model.safetensors").exists()
        temporary.write_bytes(b"x")
    assert names(tmp_path / "new") == ["model.safetensors"]


def test_writing_nothing_is_an_error(tmp_path):
    with (
        pytest.raises(ValueError, match=r"nothing was written for .*a\.txt"),
        atomic_path(tmp_path / "a.txt"),
    ):
        pass


@pytest.mark.parametrize("content", [float("nan"), {"x": float("inf")}, {1, 2}, object()])
def test_what_json_cannot_hold_is_refused_by_name(tmp_path, content):
    with pytest.raises(ValueError, match=r"a\.json: cannot be written as JSON"):
        write_json(tmp_path / "a.json", content)
    assert names(tmp_path) == []


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    write_text(tmp_path / "kept.txt", "")
    (tmp_path / ".hidden").write_text("")
    script = (
        "import os, sys; from gradmix.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as path: path.write_text('half'); os._exit(9)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.txt")], check=False)
    assert killed.returncode == 9
    assert len(names(tmp_path)) == 3
    remove_unfinished(tmp_path)
    assert names(tmp_path) == [".hidden", "kept.txt"]


def test_a_full_disk_leaves_the_old_file(tmp_path):
    write_bytes(tmp_path / "a.bin", b"old")
    script = (
        "import sys; from gradmix.files import write_bytes; write_bytes(sys.argv[1], bytes(10000))"
    )
    full = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.bin")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "OSError" in full.stderr
    assert names(tmp_path) == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"old"


def test_sha256(tmp_path):
    (tmp_path / "empty").touch()
    assert sha256_of(tmp_path / "empty").startswith("e3b0c44298fc1c149afb")


def test_json_comes_back_and_a_broken_one_is_named(tmp_path):
    write_json(tmp_path / "a.json", {"x": [1, None, "é"]})
    assert read_json(tmp_path / "a.json") == {"x": [1, None, "é"]}
    (tmp_path / "a.json").write_text('{"x": [1')
    with pytest.raises(ValueError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o007, 0o660), (0o077, 0o600)])
def test_the_umask_says_who_may_read_and_write_whatever_the_library(tmp_path, umask, mode):
    script = (
        "import sys, numpy as np\n"
        "from safetensors.numpy import save_file\n"  # makes files for their owner alone
        "from gradmix.files import atomic_path, write_text\n"
        "with atomic_path(sys.argv[1] + '/model.safetensors') as path:\n"
        "    save_file({'a': np.zeros(1)}, path)\n"
        "write_text(sys.argv[1] + '/a.txt', '')"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    subprocess.run(command, umask=umask, check=True)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {mode}
    assert names(tmp_path) == ["a.txt", "model.safetensors"]
