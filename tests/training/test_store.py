"""Where runs resume from."""

import shutil

import pytest
import torch

from gradmix.training.store import CHECKPOINT, RECORD, RunStore


def test_a_checkpoint_comes_back(tmp_path):
    store = RunStore(tmp_path, {"settings": 1})
    assert store.load() is None
    store.save({"a": torch.arange(3)}, {"step": 5, "rows": [{"x": float("nan"), "y": 0.1}]})
    tensors, state = RunStore(tmp_path, {"settings": 1}).load()
    assert tensors["a"].tolist() == [0, 1, 2]
    assert state["step"] == 5
    assert state["rows"][0]["y"] == 0.1


def test_other_settings_have_another_folder(tmp_path):
    RunStore(tmp_path, {"settings": 1}).save({"a": torch.zeros(1)}, {})
    assert RunStore(tmp_path, {"settings": 2}).load() is None


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    first, second = RunStore(tmp_path, {"settings": 1}), RunStore(tmp_path, {"settings": 2})
    first.save({"a": torch.zeros(1)}, {})
    shutil.copytree(first.folder, second.folder)
    with pytest.raises(ValueError, match="belongs to another run"):
        second.load()


def test_a_truncated_checkpoint_is_named(tmp_path):
    store = RunStore(tmp_path, {"settings": 1})
    store.save({"a": torch.zeros(1000)}, {})
    path = store.folder / CHECKPOINT
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors: not a readable checkpoint"):
        store.load()


def test_a_finished_record_survives_the_deletion_of_its_outputs(tmp_path):
    store, output = RunStore(tmp_path / "store", {"settings": 1}), tmp_path / "run"
    assert not store.restore(output)
    output.mkdir()
    for name in RECORD:
        (output / name).write_text(name)
    store.finish(output)
    shutil.rmtree(output)
    assert store.restore(output)
    assert [(output / name).read_text() for name in RECORD] == list(RECORD)
