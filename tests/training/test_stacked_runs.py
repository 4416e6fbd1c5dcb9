"""Runs whose models are stacked, from files to files: the records of single runs, resumed alone or with others."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from debug_experiment import needs_resnet, settings_of, train
from safetensors.numpy import load_file

from gradmix.domains.format import open_domain
from gradmix.files import read_json, write_json
from gradmix.nets import inputs
from gradmix.nets.build import build_network
from gradmix.nets.inputs import to_input
from gradmix.splits import make_split
from gradmix.training import prepare as preparation
from gradmix.training.device import device_for_run
from gradmix.training.job import Files, Run, open_inputs
from gradmix.training.lock import RunInUseError, run_lock
from gradmix.training.run import train_runs
from gradmix.training.stacking import kind_of, why_not
from gradmix.training.state import TrainingError
from gradmix.training.stop import Terminated
from gradmix.training.store import RunStore

# Float32 only: a step changes the rounding of sums by 1e-7, which training then amplifies; at these rates and so few
# steps by less than this. (In float64 they agree to 1e-14, see test_stacked_step.py.)
TOLERANCE = 1e-3
TRAINING = {"steps": 20, "evaluate_every": 5, "fine_tune_steps": 6, "fine_tune_evaluate_every": 3}
MEMBERS = [
    (5.0, 0.0, 8e-4),
    (10.0, 0.6, 1e-3),
    (8.0, 0.3, 4e-4),
    (10.0, 0.0, 2e-4),
    (2, 0, 1e-3),
]


def members(method="gradmix", count=5, **sections):
    """Runs that differ in beta, gamma, learning rate and, by their names, in weights and batches."""
    made = []
    for beta, gamma, rate in MEMBERS[:count]:
        training = {**TRAINING, "learning_rate": rate, **sections.get("training", {})}
        mixing = {"beta": beta, "gamma": gamma, **sections.get("gradmix", {})}
        settings = settings_of(method, training=training, gradmix=mixing)
        made.append(replace(settings, member=f"{beta}-{gamma}"))
    return made


def at_rate(settings, rate):
    return replace(settings, schedule=replace(settings.schedule, learning_rate=rate))


def trained(settings, job, folder, at_once, log=lambda line: None):
    job = replace(job, models_at_once=at_once)
    runs = [Run(one, job, folder / one.member) for one in settings]
    train_runs(runs, log)
    return [run.output for run in runs]


def differences(one, other):
    """Largest difference of weights, and of curves."""
    a, b = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert a.keys() == b.keys()
    weights = max(float(np.abs(a[name].astype(float) - b[name]).max()) for name in a)
    a, b = (pd.read_parquet(folder / "curves.parquet") for folder in (one, other))
    assert list(a.columns) == list(b.columns)
    assert a.step.tolist() == b.step.tolist()
    return weights, float(np.nanmax(np.abs((a - b).to_numpy())))


def assert_same(ones, others):
    for one, other in zip(ones, others, strict=True):
        assert max(differences(one, other)) < TOLERANCE, (one, differences(one, other))
        records = [read_json(folder / "run.json") for folder in (one, other)]
        losses = [record.pop("hyper_validation_loss") for record in records]
        assert losses[0] == pytest.approx(losses[1], abs=TOLERANCE)
        for record in records:
            for key in ("seconds", "step_milliseconds_median", "models_at_once", "files"):
                record.pop(key, None)
        assert records[0] == records[1]


@pytest.mark.parametrize(
    "method",
    ["gradmix", "gradmix_fixed_rate", "gradmix_sgd", "gradmix_soft", "pooled", "source_only_mean"],
)
def test_stacked_models_train_what_single_runs_train(method, experiment, tmp_path):
    job, settings = experiment.job_of(method, tmp_path / "store"), members(method, 3)
    alone = trained(settings, job, tmp_path / "alone", 1)
    lines = []
    other = replace(job, store=tmp_path / "other")
    together = trained(settings, other, tmp_path / "together", 3, lines.append)
    assert lines[0].startswith(f"3 models together, method {method}, k = 2, draw 0, member 5.0-0.0")
    assert lines[-1] == "3 of 3 models done"
    assert_same(alone, together)
    first, second = (read_json(o[0] / "run.json") for o in (alone, together))
    assert "models_at_once" not in first
    assert second["models_at_once"] == 3
    assert (
        load_file(together[0] / "model.safetensors").keys()
        == load_file(alone[0] / "model.safetensors").keys()
    )
    weights = [load_file(output / "model.safetensors") for output in together]
    assert not np.array_equal(
        weights[0]["heads.linear.0.weight"], weights[1]["heads.linear.0.weight"]
    )


@pytest.fixture
def in_float64(monkeypatch):
    """Images, networks and losses in float64, whose rounding hides no difference."""

    def inputs_in_float64(images, *, channels):
        return to_input(images, channels=channels).double()

    def network_in_float64(*arguments, **options):
        return build_network(*arguments, **options).double()

    monkeypatch.setattr(inputs, "to_input", inputs_in_float64)
    monkeypatch.setattr(preparation, "build_network", network_in_float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)


@pytest.mark.parametrize("method", ["gradmix", "gradmix_sgd", "source_only"])
def test_in_float64_stacked_models_train_what_single_runs_train(
    method, experiment, in_float64, tmp_path
):
    settings = [at_rate(one, 30 * one.schedule.learning_rate) for one in members(method, 3)]
    alone = trained(settings, experiment.job(tmp_path / "1"), tmp_path / "alone", 1)
    stacked = trained(settings, experiment.job(tmp_path / "2"), tmp_path / "stacked", 3)
    for one, other in zip(alone, stacked, strict=True):
        assert load_file(other / "model.safetensors")["backbone.hidden.weight"].dtype == float
        assert max(differences(one, other)) < 1e-6
        assert read_json(one / "run.json")["chosen_step"] > 0


@pytest.fixture(scope="module")
def in_fives(experiment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fives")
    return trained(members(), experiment.job(folder / "store"), folder, 5)


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_record_does_not_depend_on_how_many_were_stacked(at_once, in_fives, experiment, tmp_path):
    assert_same(in_fives, trained(members(), experiment.job(tmp_path / "s"), tmp_path, at_once))


def test_the_same_models_twice_are_the_same_bit_for_bit(in_fives, experiment, tmp_path):
    again = trained(members(), experiment.job(tmp_path / "store"), tmp_path, 54)
    assert [differences(a, b) for a, b in zip(in_fives, again, strict=True)] == [(0, 0)] * 5


def test_the_identity_says_nothing_of_the_others(experiment, tmp_path):
    with device_for_run("cpu", 1) as device:
        runs = [
            Run(members()[0], replace(experiment.job(tmp_path), models_at_once=n), tmp_path)
            for n in (1, 5)
        ]
        assert len({json.dumps(run.identity({}, device)) for run in runs}) == 1


def test_h2_fine_tunes_all_stacked_models(experiment, tmp_path):
    settings = members(count=3, gradmix={"last_layer": "H2"})
    alone = trained(settings, experiment.job(tmp_path / "1"), tmp_path / "alone", 1)
    together = trained(settings, experiment.job(tmp_path / "2"), tmp_path / "together", 3)
    assert_same(alone, together)
    assert pd.read_parquet(together[0] / "curves.parquet").step.max() == 26


def test_bfloat16(experiment, tmp_path):
    settings = members(count=2, training={"precision": "bfloat16"})
    alone = trained(settings, experiment.job(tmp_path / "1"), tmp_path / "alone", 1)
    together = trained(settings, experiment.job(tmp_path / "2"), tmp_path / "together", 2)
    for one, other in zip(alone, together, strict=True):
        losses = [pd.read_parquet(f / "curves.parquet")["loss/near"][1:] for f in (one, other)]
        np.testing.assert_allclose(*losses, atol=0.05)
    assert (
        load_file(together[0] / "model.safetensors")["backbone.hidden.weight"].dtype == np.float32
    )


# Draws, and candidates.


@pytest.fixture(scope="module")
def draws(experiment):
    """Jobs of three draws, each with a V of its own."""
    opened = {name: open_domain(folder) for name, folder in experiment.domains.items()}
    jobs = []
    for draw in range(3):
        split = make_split(
            opened["target"], None, {name: opened[name] for name in ("near", "other")},
            labels_per_class=2, draw=draw, seed=0, hyper_validation_per_class=6, test_per_class=8,
        )  # fmt: skip
        write_json(experiment.root / f"split{draw}.json", split)
        job = experiment.job(experiment.root / "unused")
        jobs.append(replace(job, split=experiment.root / f"split{draw}.json", draw=draw))
    assert len({tuple(read_json(job.split)["V"]) for job in jobs}) == 3
    return jobs


def test_draws_are_trained_together(draws, tmp_path):
    settings = settings_of("gradmix", training={**TRAINING, "learning_rate": 0.001})
    folders = {}
    for at_once in (1, 10):
        lines = []
        runs = [
            Run(
                settings,
                replace(job, store=tmp_path / f"store{at_once}", models_at_once=at_once),
                tmp_path / str(at_once) / str(job.draw),
            )
            for job in draws
        ]
        folders[at_once] = [run.output for run in runs]
        train_runs(runs, lines.append)
    assert lines[0].startswith("3 models together")
    assert_same(folders[1], folders[10])


def test_candidates_of_all_draws_are_trained_together(draws, tmp_path):
    settings = settings_of("gradmix", training=TRAINING)
    tried = {str(rate): at_rate(settings, rate) for rate in (0.001, 0.0005)}
    runs = [
        Run(
            replace(settings, candidates=tried),
            replace(job, store=tmp_path / "store", models_at_once=10),
            tmp_path / str(job.draw),
        )
        for job in draws
    ]
    lines = []
    train_runs(runs, lines.append)
    assert lines[0].startswith("6 models together")
    for run in runs:
        assert len(read_json(run.output / "run.json")["candidates"]) == 2


# Broken off.


@pytest.mark.parametrize("steps", [3, 5, 12])
def test_stacked_models_go_on_bit_for_bit(steps, in_fives, experiment, sigterm_after, tmp_path):
    job, lines = experiment.job(tmp_path / "store"), []
    sigterm_after(steps)
    with pytest.raises(Terminated) as caught:
        trained(members(), job, tmp_path / "run", 5, lines.append)
    assert caught.value.code == 143
    assert not (tmp_path / "run").exists()
    assert lines[-1] == (
        f"5 models stopped by SIGTERM at step {steps}; started again, training goes on from there"
    )
    sigterm_after(0)
    again = trained(members(), job, tmp_path / "run", 5, lines.append)
    assert sum(line.endswith(f"resumed at step {steps}") for line in lines) == 5
    assert [differences(a, b) for a, b in zip(in_fives, again, strict=True)] == [(0, 0)] * 5


@pytest.mark.parametrize(("before", "behind"), [(5, 1), (1, 5), (5, 2), (2, 5)])
def test_a_member_goes_on_alone_or_with_others(
    before, behind, in_fives, experiment, sigterm_after, tmp_path
):
    job, lines = experiment.job(tmp_path / "store"), []
    sigterm_after(7)
    with pytest.raises(Terminated):
        trained(members(), job, tmp_path / "run", before, lines.append)
    sigterm_after(0)
    again = trained(members(), job, tmp_path / "run", behind, lines.append)
    assert sum(line.endswith("resumed at step 7") for line in lines) == before
    assert_same(in_fives, again)


def test_finished_members_are_not_trained_again(in_fives, experiment, tmp_path):
    job = experiment.job(tmp_path / "store")
    trained(members()[:2], job, tmp_path / "two", 5)
    lines = []
    again = trained(members(), job, tmp_path / "five", 5, lines.append)
    assert sum("finished before" in line for line in lines) == 2
    assert any(line.startswith("3 models together") for line in lines)
    assert_same(in_fives, again)


@pytest.mark.parametrize("at_once", [1, 5])
def test_a_nan_in_one_member_leaves_the_others(at_once, in_fives, experiment, tmp_path):
    settings, job, lines = members(), experiment.job(tmp_path / "store"), []
    settings[1] = at_rate(settings[1], 1e30)
    with pytest.raises(
        TrainingError,
        match=r"member 10.0-0.6: step \d: the gradient of \w+ is NaN or infinite in layer .*; "
        r"the state of step 0 is kept in .*store",
    ):
        trained(settings, job, tmp_path / "run", at_once, lines.append)
    assert sum(line.endswith("the others go on") for line in lines) == (at_once > 1)
    assert lines[-1] == "4 of 5 models done"
    others = [0, 2, 3, 4]
    assert not (tmp_path / "run" / "10.0-0.6").exists()
    folders = [tmp_path / "run" / settings[index].member for index in others]
    assert_same([in_fives[index] for index in others], folders)
    kept = [path.name for path in (tmp_path / "store").rglob("*.safetensors")]
    assert kept.count("checkpoint.safetensors") == 1
    assert kept.count("model.safetensors") == 4


def test_a_nan_in_every_member(experiment, tmp_path):
    settings = members("pooled", count=2, training={"learning_rate": 1e30})
    with pytest.raises(TrainingError, match=r"member 5.0-0.0: step \d: the loss of \w+ is NaN"):
        trained(settings, experiment.job(tmp_path / "store"), tmp_path / "run", 5)


def test_a_nan_in_the_fine_tuning_of_one_member_leaves_the_others(experiment, tmp_path):
    settings = members(count=3, gradmix={"last_layer": "H2"})
    diverges = replace(settings[1].fine_tuning, learning_rate=1e30)
    settings[1] = replace(settings[1], fine_tuning=diverges)
    with pytest.raises(TrainingError, match=r"member 10.0-0.6: step \d: .* is NaN or infinite"):
        trained(settings, experiment.job(tmp_path / "store"), tmp_path / "run", 3)
    done = sorted(path.parent.name for path in (tmp_path / "run").glob("*/run.json"))
    assert done == ["5.0-0.0", "8.0-0.3"]


def test_a_member_of_another_process_is_named(experiment, tmp_path, monkeypatch):
    settings, job = members(count=2), experiment.job(tmp_path / "store")
    with device_for_run("cpu", 1) as device:
        run = Run(settings[1], job, tmp_path)
        identity = run.identity(Files(shared=False).hashes(job), device)
    held = RunStore.held
    monkeypatch.setattr(RunStore, "held", lambda self, log: held(self, log, wait=0.0))
    with (
        run_lock(RunStore(job.store, identity).folder, lambda line: None),
        pytest.raises(RunInUseError, match=r"member 10.0-0.6: .* is being trained by process"),
    ):
        trained(settings, job, tmp_path / "run", 2)


# Who can.


def ready(experiment, method, store, **sections):
    settings = settings_of(method, resnet=needs_resnet(method), **sections)
    run = Run(settings, experiment.job_of(method, store), store / "run")
    with device_for_run("cpu", 1) as device:
        return preparation.prepare(run, open_inputs(run), RunStore(store, {}), device)


@pytest.mark.parametrize(
    ("method", "sections", "reason"),
    [
        ("gradmix", {}, None),
        ("gradmix_hard", {}, None),
        ("pooled_hard", {}, None),
        ("fine_tune", {}, None),
        ("gradmix", {"gradmix": {"solver": "slsqp"}}, "the mixer gradmix keeps a memory or solves"),
        ("guided_sum", {}, "the term augmented_cross_entropy keeps a state or draws"),
        ("gradmix_vat", {}, "the term vat keeps a state or draws random numbers"),
        ("pooled_augmented", {}, "the term augmented_cross_entropy"),
        ("mdda", {}, "their network has statistics per domain"),
        ("dctn", {}, "their optimizer is adam"),
        ("gradmix", {"training": {"forward": "together"}}, "training.forward is together"),
    ],
)
def test_why_runs_are_not_stacked(method, sections, reason, experiment, tmp_path):
    why = why_not(ready(experiment, method, tmp_path, **sections))
    assert why is None if reason is None else why.startswith(reason), why


def test_cut_or_mirrored_images_are_not_stacked(experiment, tmp_path):
    run = ready(experiment, "gradmix", tmp_path)
    run.state.schedule = replace(run.state.schedule, flip=True)
    assert why_not(run) == "their images are cut and mirrored at random"


def test_only_runs_of_one_kind_are_stacked(experiment, tmp_path):
    one = kind_of(ready(experiment, "gradmix", tmp_path))
    assert one == kind_of(
        ready(experiment, "gradmix", tmp_path, gradmix={"beta": 2}, training={"learning_rate": 0.1})
    )
    for sections in (
        {"gradmix": {"last_layer": "H0"}},
        {"gradmix": {"eta_on": "grad"}},
        {"training": {"batch_size": 4}},
        {"training": {"steps": 4}},
        {"training": {"momentum": 0.5}},
    ):
        assert one != kind_of(ready(experiment, "gradmix", tmp_path, **sections))


def test_what_cannot_be_stacked_is_trained_all_the_same(in_fives, experiment, tmp_path):
    settings = members("gradmix", 2) + members("gradmix", 3, gradmix={"solver": "slsqp"})[2:]
    lines = []
    outputs = trained(
        settings, experiment.job(tmp_path / "store"), tmp_path / "run", 5, lines.append
    )
    assert lines[0] == (
        "1 of 3 models one after another: the mixer gradmix keeps a memory or solves on the host"
    )
    assert lines[-1] == "3 of 3 models done"
    assert_same(in_fives[:2], outputs[:2])
    assert (outputs[2] / "run.json").exists()
    assert "models_at_once" not in read_json(outputs[2] / "run.json")


@pytest.mark.parametrize("methods", [["gradmix"], ["gradmix", "pooled"]])
def test_a_network_of_its_own_kind_is_trained_by_itself_bit_for_bit(methods, experiment, tmp_path):
    lines = []
    job = experiment.job(tmp_path / "store", models_at_once=5)
    train_runs([Run(settings_of(m), job, tmp_path / m) for m in methods], lines.append)
    said = "2 of 2 models one after another: no other is of their kind"
    assert lines.count(said) == (len(methods) > 1)
    plain = replace(job, store=tmp_path / "other", models_at_once=1)
    for method in methods:
        train(settings_of(method), plain, tmp_path / "plain" / method)
        assert differences(tmp_path / method, tmp_path / "plain" / method) == (0, 0)
