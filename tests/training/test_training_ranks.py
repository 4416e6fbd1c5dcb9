"""Training by two real ranks on the CPU: as one process trains, resumed bit for bit, failing in one sentence."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from debug_experiment import Experiment, settings_of
from safetensors.numpy import load_file

from gradmix.files import read_json
from gradmix.training import launch
from gradmix.training.job import Job, Run
from gradmix.training.ranks import ALONE, Ranks

# Batches of 7 are uneven for two ranks. What float32 rounds grows with the rate: to 2e-6 in six steps of 0.05.
UNEVEN = {"batch_size": 7, "learning_rate": 0.005}
SETTINGS = {
    "gradmix": settings_of("gradmix", training=UNEVEN, gradmix={"last_layer": "H2"}),
    "source_only": settings_of("source_only", training=UNEVEN),
    "target_only": settings_of("target_only", training=UNEVEN),
    # Draws random numbers, of which each rank has its own.
    "gradmix_vat": settings_of("gradmix_vat", training={"steps": 40, "evaluate_every": 10}),
    "dctn": settings_of("dctn"),
}
SAME = ("gradmix", "source_only", "target_only")


@pytest.fixture(scope="module")
def job(experiment: Experiment, tmp_path_factory) -> Job:
    store = tmp_path_factory.mktemp("ranks") / "store"
    return experiment.job(store, enlarged=experiment.enlarged, ranks=2, models_at_once=5)


@pytest.fixture(scope="module")
def trained(job) -> Path:
    """A pack by two ranks, whose last member cannot be trained so, and some of it by one process."""
    folder = job.store.parent / "two"
    lines: list[str] = []
    with pytest.raises(ValueError, match="method dctn: a term of it trains parameters of its own"):
        launch.train_runs(
            [Run(settings, job, folder / name) for name, settings in SETTINGS.items()], lines.append
        )
    assert lines[0] == "2 ranks on cpu, cpu"
    assert "1 of 5 models done" in lines, "several ranks train one model after another"
    assert sum("6 steps on cpu" in line for line in lines) == 3, "the others' lines are logged, too"
    one = replace(job, ranks=1)
    for name in SAME:
        output = folder.parent / "one" / name
        launch.train_runs([Run(SETTINGS[name], one, output)], lambda line: None)
    return folder.parent


@pytest.mark.parametrize("method", SAME)
def test_two_ranks_train_what_one_process_trains(trained, method):
    one, two = (load_file(trained / n / method / "model.safetensors") for n in ("one", "two"))
    for name, tensor in one.items():
        np.testing.assert_allclose(two[name], tensor, rtol=1e-6, atol=1e-6, err_msg=name)
    curves = [pd.read_parquet(trained / n / method / "curves.parquet") for n in ("one", "two")]
    pd.testing.assert_frame_equal(*curves, rtol=1e-4, atol=1e-5)
    records = [read_json(trained / n / method / "run.json") for n in ("one", "two")]
    assert records[0]["chosen_step"] == records[1]["chosen_step"]
    assert "ranks" not in records[0]
    assert records[1]["ranks"] == 2


def test_the_identity_of_one_process_does_not_speak_of_ranks(trained, job):
    found = [read_json(path) for path in job.store.glob("*/identity.json")]
    assert {identity.get("ranks") for identity in found} <= {None, 2}
    run = Run(SETTINGS["gradmix"], replace(job, ranks=1), Path())
    assert "ranks" not in run.identity({}, torch.device("cpu"))


def test_ranks_that_get_sigterm_are_resumed_bit_for_bit(trained, job, tmp_path):
    output = tmp_path / "run"
    run = Run(SETTINGS["gradmix_vat"], replace(job, store=tmp_path / "store"), output)
    lines: list[str] = []

    def terminate(line):
        lines.append(line)
        if line.startswith("step 20/"):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as left:
        launch.train_runs([run], terminate)
    assert left.value.code == 143
    assert lines[-1].startswith("stopped by SIGTERM at step ")
    assert not output.exists()

    launch.train_runs([run], lines.append)
    assert any(line.startswith("resumed at step ") for line in lines), lines
    folders = (output, trained / "two" / "gradmix_vat")
    found, whole = (load_file(folder / "model.safetensors") for folder in folders)
    assert all(np.array_equal(found[name], tensor) for name, tensor in whole.items())
    curves = [pd.read_parquet(folder / "curves.parquet") for folder in folders]
    pd.testing.assert_frame_equal(*curves, check_exact=True)


def test_parts_of_a_batch():
    rows = torch.arange(7).expand(2, -1)
    parts = [Ranks(rank, 3, group=object()).share(rows) for rank in range(3)]
    assert sorted(torch.cat(parts, dim=1)[0].tolist()) == list(range(7))
    assert sum(Ranks(0, 3).factor(part.shape[1], 7) for part in parts) == pytest.approx(3)
    assert ALONE.share(rows) is rows
    with pytest.raises(ValueError, match="3 ranks cannot share a mini-batch of 2 images"):
        Ranks(0, 3, group=object()).share(rows[:, :2])
    assert len({Ranks(rank, 3).seed(5) for rank in range(3)}) == 3
    assert Ranks(0, 3).seed(5) == 5


@pytest.mark.parametrize(
    ("told", "statuses", "message"),
    [
        (
            {
                0: ("RuntimeError", "Connection closed by peer", 2.0),
                1: ("OSError", "disk full", 1.0),
            },
            [1, 1],
            "rank 1 of 2: OSError: disk full",
        ),
        (
            {
                0: ("RuntimeError", "Connection closed", 1.0),
                1: ("TrainingError", "step 4: NaN", 2.0),
            },
            [1, 1],
            "step 4: NaN",
        ),
        (
            {0: ("RuntimeError", "Connection closed", 1.0)},
            [1, -9],
            "rank 1 of 2 was ended by SIGKILL",
        ),
        (
            {0: ("RuntimeError", "no memory", 1.0)},
            [1, None],
            "rank 0 of 2: RuntimeError: no memory",
        ),
    ],
)
def test_the_error_behind_the_others_is_told(tmp_path, told, statuses, message):
    for rank, (kind, text, when) in told.items():
        error = {"kind": kind, "message": text, "time": when}
        (tmp_path / f"error-{rank}.json").write_text(json.dumps(error))
    assert str(launch._error(tmp_path, statuses)) == message
