"""A run that SIGTERM stops at any step, inside an interval too, resumes bit for bit; for every method."""

import signal
from dataclasses import replace

import pytest
import torch
from debug_experiment import needs_resnet, settings_of, train

from gradmix.methods.recipes import METHODS
from gradmix.training import job as job_module
from gradmix.training import stop as stop_module
from gradmix.training.settings import Pace
from gradmix.training.state import TrainingError
from gradmix.training.step import Step
from gradmix.training.stop import STATUS, Stop, Terminated
from gradmix.training.store import CHECKPOINT, RunStore


def content(folder):
    return [(folder / name).read_bytes() for name in ("model.safetensors", "curves.parquet")]


def in_pieces(settings, job, output, sigterm_after, pieces):
    """Train with a SIGTERM behind every so many steps; the log."""
    lines = []
    for steps in pieces:
        sigterm_after(steps)
        with pytest.raises(Terminated) as caught:
            train(settings, job, output, lines.append)
        assert caught.value.code == STATUS == 143
        assert not output.exists()
    sigterm_after(0)
    train(settings, job, output, lines.append)
    return lines


@pytest.mark.parametrize("method", METHODS)
def test_every_method_resumes_bit_for_bit(method, experiments, sigterm_after, tmp_path):
    settings = settings_of(method, resnet=needs_resnet(method))
    job = experiments(method).job_of(method, tmp_path / "store")
    whole = replace(job, store=tmp_path / "another")
    train(settings, whole, tmp_path / "whole")
    lines = in_pieces(settings, job, tmp_path / "run", sigterm_after, [1, 1, 1, 2])
    for step in (1, 2, 3, 5):
        stopped = f"stopped by SIGTERM at step {step}; started again, training goes on from there"
        assert lines.count(stopped) == lines.count(f"resumed at step {step}") == 1
    assert content(tmp_path / "run") == content(tmp_path / "whole")


def test_a_flipped_bit_of_a_checkpoint_changes_no_result(experiments, sigterm_after, tmp_path):
    settings = settings_of("gradmix")
    job = experiments("gradmix").job_of("gradmix", tmp_path / "store")
    train(settings, replace(job, store=tmp_path / "another"), tmp_path / "whole")
    sigterm_after(2)
    with pytest.raises(Terminated):
        train(settings, job, tmp_path / "run")
    sigterm_after(0)
    (path,) = job.store.rglob(CHECKPOINT)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    lines = []
    train(settings, job, tmp_path / "run", lines.append)
    assert any(line.startswith(f"{path}: damaged (") for line in lines)
    assert content(tmp_path / "run") == content(tmp_path / "whole")


def test_h2_keeps_both_parts(experiments, sigterm_after, tmp_path):
    settings = settings_of("gradmix", gradmix={"last_layer": "H2"})
    job = experiments("gradmix").job_of("gradmix", tmp_path / "store")
    train(settings, replace(job, store=tmp_path / "another"), tmp_path / "whole")
    # Six steps, then six of the fine-tuning.
    lines = in_pieces(settings, job, tmp_path / "run", sigterm_after, [2, 6, 1, 2])
    resumed = [line for line in lines if line.startswith("resumed")]
    steps = ["2", "6", "2", "6", "3", "6", "5"]
    assert resumed == [f"resumed at step {step}" for step in steps]
    assert content(tmp_path / "run") == content(tmp_path / "whole")
    assert not list((tmp_path / "store").rglob(f"*{CHECKPOINT}"))


def test_checkpoints_by_the_clock_and_by_steps_change_nothing(experiments, tmp_path, monkeypatch):
    written = []
    original = RunStore.save

    def save(self, tensors, state):
        written.append(state["step"])
        original(self, tensors, state)

    monkeypatch.setattr(RunStore, "save", save)
    settings = settings_of("guided_sum_self")
    paces = {"never": Pace(1e9), "steps": Pace(1e9, 2), "always": Pace(1e-9)}
    steps = {}
    for name, pace in paces.items():
        job = experiments("pooled").job_of("guided_sum_self", tmp_path / name)
        train(settings, replace(job, pace=pace), tmp_path / f"run-{name}")
        assert content(tmp_path / f"run-{name}") == content(tmp_path / "run-never")
        steps[name] = list(written)
        written.clear()
    # Before and behind the evaluation at step 3; the end needs none.
    assert steps == {"never": [], "steps": [2, 4, 6], "always": [0, 1, 2, 3, 3, 4, 5, 6]}


@pytest.mark.parametrize(
    "part", ["network", "best", "optimizer", "curves", "random", "stream/0", "term/2", "mixer"]
)
def test_it_is_noticed_if_a_part_does_not_come_back(
    part, experiments, sigterm_after, tmp_path, monkeypatch
):
    settings = settings_of(
        "guided_sum_self", options={"self_labels": {"warm_up": 0.0, "threshold": 0.0}}
    )
    job = experiments("pooled").job_of("guided_sum_self", tmp_path / "store")
    if part == "best":  # of equal ones the first, long before the end
        monkeypatch.setattr(Step, "evaluate", lambda self: [(1.0, 0.5)])
    train(settings, replace(job, store=tmp_path / "another"), tmp_path / "whole")
    in_pieces(
        settings, replace(job, store=tmp_path / "store2"), tmp_path / "right", sigterm_after, [2]
    )
    assert content(tmp_path / "right") == content(tmp_path / "whole")
    original, found = RunStore.load, []

    def load(self):
        tensors, state = original(self) or (None, None)
        for name in [name for name in tensors or () if name.startswith(f"{part}/")]:
            found.append(name)
            if name.endswith(("cpu", "generator")):
                tensors[name] = torch.Generator().manual_seed(9).get_state()
            elif tensors[name].is_floating_point():
                tensors[name] = -100 * tensors[name]
        return tensors and (tensors, state)

    monkeypatch.setattr(RunStore, "load", load)
    in_pieces(settings, job, tmp_path / "run", sigterm_after, [2])
    assert found
    assert content(tmp_path / "run") != content(tmp_path / "whole")


def test_a_nan_in_the_fine_tuning_keeps_what_it_says(experiments, tmp_path):
    changes = {"fine_tune_learning_rate": 1e30, "fine_tune_steps": 9}
    settings = settings_of("gradmix", gradmix={"last_layer": "H2"}, training=changes)
    job = experiments("gradmix").job_of("gradmix", tmp_path / "store")
    with pytest.raises(TrainingError, match=r"NaN or infinite; the state of step \d is kept in"):
        train(settings, job, tmp_path / "run")
    kept = [path.name for path in (tmp_path / "store").rglob(f"*{CHECKPOINT}")]
    assert sorted(kept) == [f"H2.{CHECKPOINT}", CHECKPOINT]


def test_outside_the_loop_sigterm_leaves_at_once(experiments, tmp_path, monkeypatch):
    def loading(*arguments):
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError

    monkeypatch.setattr(job_module, "open_inputs", loading)
    job = experiments("pooled").job_of("pooled", tmp_path / "store")
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated) as caught:
        train(settings_of("pooled"), job, tmp_path / "run")
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_sigterm_leaves_at_once_and_an_echo_does_not(monkeypatch):
    with Stop().listening() as stop, stop.deferring():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop.requested
        monkeypatch.setattr(stop_module, "_ONE_REQUEST_SECONDS", 0.0)
        with pytest.raises(Terminated):
            signal.raise_signal(signal.SIGTERM)


def test_a_second_sigterm_inside_the_writing_leaves_the_checkpoint_before(
    experiments, sigterm_after, tmp_path, monkeypatch
):
    from gradmix.training import store

    settings = settings_of("gradmix")
    job = experiments("gradmix").job_of("gradmix", tmp_path / "store")
    train(settings, replace(job, store=tmp_path / "another"), tmp_path / "whole")
    original, lines = store.save_file, []

    def save_file(tensors, path, metadata):
        original(tensors, path, metadata=metadata)
        if '"step": 4' in metadata["state"]:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(store, "save_file", save_file)
    monkeypatch.setattr(stop_module, "_ONE_REQUEST_SECONDS", 0.0)
    sigterm_after(4)
    every = replace(job, pace=Pace(steps=1))
    with pytest.raises(Terminated):
        train(settings, every, tmp_path / "run")
    monkeypatch.undo()
    assert not list((tmp_path / "store").rglob("*.unfinished-*"))
    train(settings, job, tmp_path / "run", lines.append)
    assert "resumed at step 3" in lines
    assert content(tmp_path / "run") == content(tmp_path / "whole")
