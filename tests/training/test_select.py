"""What is better on H: one rule for checkpoints of a run, parts of a training, candidates and the grid's members."""

import pytest
import torch
from torch import nn

from gradmix.files import write_json
from gradmix.mixing.sum import Sum
from gradmix.training.candidates import keep_best
from gradmix.training.curves import Curves
from gradmix.training.data import ImageSet
from gradmix.training.select import merit, rank, select_top
from gradmix.training.settings import Schedule
from gradmix.training.state import Outcome, RunState
from gradmix.training.store import RunStore

# Accuracy, loss, and whether the second is better than the first.
PAIRS = [
    ((0.5, 1.0), (0.6, 9.0), True),  # the accuracy goes before the loss
    ((0.6, 9.0), (0.5, 1.0), False),
    ((0.5, 1.0), (0.5, 0.9), True),  # of equal ones the lower loss
    ((0.5, 0.9), (0.5, 1.0), False),
    ((0.5, 1.0), (0.5, 1.0), False),  # of the same the first
]
pairs = pytest.mark.parametrize(("first", "second", "better"), PAIRS)


@pairs
def test_merit(first, second, better):
    assert (merit(*second) > merit(*first)) == better


def record(accuracy, loss):
    return {"hyper_validation_accuracy": accuracy, "hyper_validation_loss": loss, "seconds": 1.0}


@pairs
def test_of_members(first, second, better, tmp_path):
    records = {"first": record(*first), "second": record(*second)}
    best = "second" if better else "first"
    assert rank(records)[0] == best
    paths = {name: tmp_path / name / "run.json" for name in records}
    for name, path in paths.items():
        write_json(path, records[name])
    assert select_top(paths, 1, tmp_path / "ensemble.json")["members"] == [best]


@pairs
def test_of_candidates(first, second, better, tmp_path):
    folders = {name: tmp_path / name for name in ("first", "second")}
    for folder, reached in zip(folders.values(), (first, second), strict=True):
        write_json(folder / "run.json", record(*reached))
        for file in ("model.safetensors", "curves.parquet"):
            (folder / file).write_text(folder.name)
    best = "second" if better else "first"
    assert keep_best(folders, tmp_path / "run") == best
    assert (tmp_path / "run" / "model.safetensors").read_text() == best


@pairs
def test_of_two_parts_of_a_training(first, second, better):
    outcomes = [
        Outcome({}, step, accuracy, loss, [{"step": 0}, {"step": 6}], 1.0, [])
        for step, (accuracy, loss) in zip((3, 6), (first, second), strict=True)
    ]
    assert outcomes[0].followed_by(outcomes[1]).step == (12 if better else 3)


@pairs
def test_of_evaluations_of_a_run(first, second, better, tmp_path):
    run = RunState(
        network=nn.Linear(1, 1),
        mixer=Sum(),
        streams=[],
        terms=[],
        validation=ImageSet("H", torch.zeros(0), torch.zeros(0), "a", "d"),
        schedule=Schedule("sgd", 2, 1, 0.1),
        curves=Curves([], [], []),
        store=RunStore(tmp_path, {}),
    )
    for step, (accuracy, loss) in enumerate((first, second)):
        run.step = step
        run.evaluated(loss, accuracy, elapsed=0.0)
    assert run.outcome().step == (1 if better else 0)
