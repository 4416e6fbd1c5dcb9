"""A manifest stands for its files as long as all of them are there."""

import json
import os
from pathlib import Path

import pytest

from gradmix.manifest import fault, files_in, write_manifest


@pytest.fixture
def made(tmp_path: Path) -> Path:
    for name, text in (("a/model", "weights"), ("b/model", "others")):
        (tmp_path / "runs" / name).parent.mkdir(parents=True)
        (tmp_path / "runs" / name).write_text(text)
    manifest = tmp_path / "packs" / "train" / "0-1.json"
    write_manifest(manifest, [tmp_path / "runs" / "a" / "model", tmp_path / "runs" / "b" / "model"])
    return manifest


def test_it_holds_while_all_files_are_there_wherever_the_folder_is(made, tmp_path):
    assert fault(made) is None
    assert "../../runs/a/model" in json.loads(made.read_text())["files"]
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert fault(moved / "packs" / "train" / "0-1.json") is None


def test_a_missing_file_is_named(made, tmp_path):
    (tmp_path / "runs" / "b" / "model").unlink()
    assert fault(made) == f"{tmp_path}/runs/b/model is missing"


def test_a_file_of_another_size_is_named(made, tmp_path):
    (tmp_path / "runs" / "a" / "model").write_text("half")
    assert fault(made) == f"{tmp_path}/runs/a/model has 4 bytes, and had 7"


def test_another_file_of_the_same_size_is_named_and_a_time_stamp_alone_is_not(made, tmp_path):
    os.utime(tmp_path / "runs" / "a" / "model", (1, 1))
    assert fault(made) is None
    (tmp_path / "runs" / "a" / "model").write_text("WEIGHTS")
    assert fault(made) == f"{tmp_path}/runs/a/model has other content"


def test_contents_are_read_where_that_is_asked_for(made, tmp_path):
    model = tmp_path / "runs" / "a" / "model"
    times = model.stat()
    model.write_text("WEIGHTS")
    os.utime(model, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert fault(made) is None
    assert fault(made, content=True) == f"{model} has other content"
    assert fault(made, content=True, without="model") is None


def test_its_files_are_listed_in_order_and_by_name(made, tmp_path):
    (tmp_path / "notes").write_text("")
    other = tmp_path / "packs" / "notes.json"
    write_manifest(other, [tmp_path / "notes"])
    models = [f"{tmp_path}/runs/{name}/model" for name in "ab"]
    assert files_in([str(other), str(made)]) == [f"{tmp_path}/notes", *models]
    assert files_in([str(other), str(made)], "model") == files_in(str(made)) == models


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": {"a": 1}}'])
def test_one_that_cannot_be_read_stands_for_nothing(made, text):
    made.write_text(text)
    assert fault(made)


def test_another_content_of_the_same_size_changes_the_manifest(made, tmp_path):
    before = made.read_bytes()
    (tmp_path / "runs" / "a" / "model").write_text("WEIGHTS")
    write_manifest(made, [tmp_path / "runs" / "a" / "model", tmp_path / "runs" / "b" / "model"])
    assert made.read_bytes() != before
