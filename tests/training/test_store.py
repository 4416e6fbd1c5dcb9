"""Where runs resume from."""

import os
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


def test_a_refusal_names_what_differs(tmp_path):
    training = {"steps": 100, "batch_size": 8}
    first = RunStore(tmp_path, {"settings": {"training": training}, "code": "a", "draws": [1]})
    training = {"steps": 200, "batch_size": 8}
    second = RunStore(tmp_path, {"settings": {"training": training, "flip": True}, "code": "a"})
    first.save({"a": torch.zeros(1)}, {})
    second.folder.mkdir()
    shutil.copy(first.folder / CHECKPOINT, second.folder)
    with pytest.raises(ValueError) as caught:
        second.load()
    differences = (
        "settings.training.steps: 100 there, 200 here; draws: [1] there, none here; "
        "settings.flip: none there, true here"
    )
    path = second.folder / CHECKPOINT
    assert str(caught.value) == f"{path}: belongs to another run ({differences}); delete it"


def test_parts_have_checkpoints_of_their_own_until_the_run_is_finished(tmp_path):
    store = RunStore(tmp_path / "store", {"settings": 1})
    store.save({"a": torch.zeros(1)}, {"step": 1})
    store.part("H2").save({"a": torch.zeros(1)}, {"step": 2})
    assert store.load()[1] == {"step": 1}
    assert store.part("H2").load()[1] == {"step": 2}
    (tmp_path / "run").mkdir()
    for name in RECORD:
        (tmp_path / "run" / name).touch()
    store.finish(tmp_path / "run")
    assert store.load() is store.part("H2").load() is None


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_a_truncated_checkpoint_is_named_and_not_used(tmp_path):
    lines = []
    store = RunStore(tmp_path, {"settings": 1}, log=lines.append)
    store.save({"a": torch.zeros(1000)}, {})
    path = store.folder / CHECKPOINT
    path.write_bytes(path.read_bytes()[:100])
    assert store.load() is None
    assert lines[0].startswith(f"{path}: damaged (")
    assert lines[0].endswith("the training begins anew")


def test_no_flipped_bit_of_a_checkpoint_passes(tmp_path):
    """Tensors, their names and types, the state, the run's identity: all of it is in the hash."""
    lines = []
    store = RunStore(tmp_path, {"settings": 1}, log=lines.append)
    store.save({"a": torch.arange(9.0), "b": torch.tensor(True), "c": torch.zeros(0)}, {"step": 5})
    path = store.folder / CHECKPOINT
    whole = path.read_bytes()
    tensors, _ = store.load()
    assert not lines
    for place in range(len(whole)):
        flip(path, place)
        found = store.load()
        if found is None:
            assert f"{path}: damaged" in lines.pop()
        else:  # a space of the header's padding
            assert found[1] == {"step": 5}
            assert all(torch.equal(found[0][name], tensors[name]) for name in tensors)
        path.write_bytes(whole)
    flip(path, -1)
    assert store.load() is None


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


@pytest.mark.parametrize("name", RECORD)
def test_damage_to_a_record_is_no_damage_to_the_one_that_is_kept(name, tmp_path):
    store, output = finished(tmp_path)
    with open(output / name, "r+b") as file:
        file.truncate(3)
    assert store.restore(output)
    assert (output / name).read_text() == name


@pytest.mark.parametrize("name", RECORD)
def test_a_damaged_record_that_was_kept_is_not_handed_out(name, tmp_path):
    lines = []
    store, output = finished(tmp_path, lines.append)
    kept = store.folder / "done" / name
    times = kept.stat()
    flip(kept, 0)
    os.utime(kept, ns=(times.st_atime_ns, times.st_mtime_ns))  # as when a disk loses a bit
    shutil.rmtree(output)
    assert not store.restore(output)
    assert not output.exists()
    assert lines == [f"{kept} has other content: the record that was kept is not used"]


def finished(tmp_path, log=print):
    store, output = RunStore(tmp_path / "store", {"settings": 1}, log=log), tmp_path / "run"
    output.mkdir()
    for name in RECORD:
        (output / name).write_text(name)
    store.finish(output)
    return store, output
