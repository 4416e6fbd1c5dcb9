"""Networks, curves and splits are taken from their files only where they are what was written."""

import json
import math
import os
import shutil
from dataclasses import replace

import pytest
import torch
from debug_experiment import settings_of, train
from safetensors.torch import load_file, save_file

from gradmix.files import write_json
from gradmix.results.experiment import read_experiment
from gradmix.results.records import read_curves, read_runs
from gradmix.results.report import write_report
from gradmix.results.tables import write_tables
from gradmix.training.model_file import load_model, write_model
from gradmix.training.predict import evaluate_run, load_network, pseudo_label
from gradmix.training.record import untrained
from gradmix.training.state import Outcome
from gradmix.training.step import Step


def quiet(line):
    pass


@pytest.fixture(scope="module")
def trained(experiment, tmp_path_factory):
    """A finished run; not to be changed."""
    root = tmp_path_factory.mktemp("trained")
    train(settings_of("pooled"), experiment.job(root / "store"), root / "run", quiet)
    return root / "run"


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def flip(path, place=-1):
    """One bit, with the time stamp left as it was."""
    times, content = path.stat(), bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def poison(path, value):
    state = load_file(path)
    for tensor in state.values():
        if tensor.is_floating_point():
            tensor.fill_(value)
    save_file(state, path)


def other_network(path):
    state = load_file(path)
    save_file({name: tensor + 1 for name, tensor in state.items()}, path)


@pytest.mark.parametrize(
    "change",
    [flip, other_network, lambda path: poison(path, math.nan)],
    ids=["bit", "other", "NaN"],
)
def test_another_network_is_refused_wherever_one_is_read(change, run, experiment, tmp_path):
    model = run / "model.safetensors"
    change(model)
    message = rf"{model}: not the content that run\.json was written for .*; delete it"
    with pytest.raises(ValueError, match=message):
        load_network(model, torch.device("cpu"))
    job = experiment.job(tmp_path / "store", initial=model)
    with pytest.raises(ValueError, match=message):
        train(settings_of("fine_tune"), job, tmp_path / "tuned", quiet)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_network_that_is_not_finite_is_neither_written_nor_read(value, run):
    model, record = run / "model.safetensors", run / "run.json"
    told = json.loads(record.read_text())
    del told["files"]  # a record of before the hashes, whose network is taken as it is
    record.write_text(json.dumps(told))
    load_network(model, torch.device("cpu"))
    poison(model, value)
    message = rf"{model}: this network is of no use, since .* is NaN or infinite"
    with pytest.raises(ValueError, match=message):
        load_model(model)
    before = model.read_bytes()
    with pytest.raises(ValueError, match=message):
        write_model(model, load_file(model))
    assert model.read_bytes() == before


def test_other_curves_are_refused(run):
    (record,) = read_runs([run])
    read_curves(record)
    flip(run / "curves.parquet", 8)
    with pytest.raises(ValueError, match=r"curves\.parquet: not the content that run\.json"):
        read_curves(record)


@pytest.mark.parametrize("stage", ["train", "evaluate", "pseudo_label"])
def test_a_split_whose_test_row_is_one_of_v_is_refused(stage, run, experiment, tmp_path):
    split = json.loads(experiment.split.read_text())
    split["test"][0] = split["V"][0]
    path, target = tmp_path / "split.json", experiment.domains["target"]
    write_json(path, split)
    metrics, ensemble = tmp_path / "metrics.json", tmp_path / "ensemble.json"
    write_json(ensemble, {"R": 1, "members": ["a"], "models": {"a": f"{run}/model.safetensors"}})
    shared = {"target": target, "split": path, "device": "cpu", "log": quiet}
    own = {"run": run, "test": target, "labels_per_class": 2, "output": metrics}
    stages = {
        "train": lambda: train(
            settings_of("pooled"),
            replace(experiment.job(tmp_path / "store"), split=path),
            tmp_path / "again",
            quiet,
        ),
        "evaluate": lambda: evaluate_run(**own, **shared),
        "pseudo_label": lambda: pseudo_label(
            ensemble=ensemble, threshold=0.5, output=tmp_path, **shared
        ),
    }
    with pytest.raises(ValueError, match=rf"{path}: draw 0: V and test share"):
        stages[stage]()
    assert not metrics.exists()


def test_who_starts_at_chance_and_stays_there_says_so_in_the_table(
    experiment, tmp_path, monkeypatch
):
    """Step 0 is chosen and no better than guessing; with a better H it is nothing to speak of."""
    rows, records, lines = [], [], []
    for draw, accuracy in enumerate((0.3, 0.9)):
        # Equally good at every step, and of these the first is chosen.
        monkeypatch.setattr(Step, "evaluate", lambda self, a=accuracy: [(1.0, a)])
        job = replace(experiment.job(tmp_path / str(draw)), draw=draw)
        run, metrics = tmp_path / f"run-{draw}", tmp_path / f"metrics-{draw}.json"
        train(settings_of("pooled"), job, run, lines.append)
        target = experiment.domains["target"]
        evaluate_run(
            run=run, target=target, test=target, split=experiment.split, labels_per_class=2,
            output=metrics, device="cpu", log=quiet,
        )  # fmt: skip
        rows.append(metrics)
        records.append(run)
    note = (
        "untrained: no step did better on H than the network it began with, which is at chance "
        "(30.0 % of 18 images of 3 classes)"
    )
    assert lines.count(f"note: {note}") == 1
    notes = [json.loads((run / "run.json").read_text())["notes"] for run in records]
    assert notes == [[note], []]
    methods = [{"name": "pooled", "title": "Pooled", "recipe": "pooled"}]
    told = read_experiment(rows, records, methods)
    assert told.notes[["draw", "note"]].to_numpy().tolist() == [[0, note]]
    write_tables(told, tmp_path / "tables")
    assert "<sup>a</sup> untrained: no step" in (tmp_path / "tables" / "accuracy.md").read_text()
    write_report(tmp_path / "report.html", told, title="T", configuration="")
    assert note in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("step", "accuracy", "noted"),
    [(0, 0.2, True), (0, 0.31, True), (0, 0.32, False), (1, 0.2, False)],
)
def test_at_chance_is_within_two_standard_errors_of_guessing(step, accuracy, noted):
    """Five classes, 50 images: 0.2 + 2 sqrt(0.2 * 0.8 / 50) = 0.313."""
    outcome = Outcome({}, step, accuracy, 1.0, [], 1.0, [])
    assert bool(untrained(outcome, 50, 5)) == noted
