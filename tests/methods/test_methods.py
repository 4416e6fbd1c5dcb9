"""Every method of the registry on the debug experiment: trained, recorded, predicting; the same for the same seed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from debug_experiment import make_experiment, needs_resnet, settings_of, train
from safetensors.numpy import load_file

from gradmix.domains.format import open_domain, write_domain
from gradmix.methods.recipes import METHODS, recipe_of
from gradmix.training.job import Run
from gradmix.training.predict import evaluate_run
from gradmix.training.run import train_runs
from gradmix.training.settings import Image

DOCS = Path(__file__).parents[2] / "docs" / "methods.md"


def settings_for(method):
    steps = {"steps": 30, "target_only_steps": 30, "fine_tune_steps": 30}
    every = {"evaluate_every": 10, "target_only_evaluate_every": 10, "fine_tune_evaluate_every": 10}
    # MixMatch's weight rises over a run, and its shifts would change these classes.
    has_mixmatch = "mixmatch" in recipe_of(method).default_options()
    options = {"mixmatch": {"weight": 1.0, "ramp": 0.0, "shift": 0}} if has_mixmatch else {}
    return settings_of(method, resnet=needs_resnet(method), training=steps | every, options=options)


@pytest.fixture(scope="module")
def run_of(experiments, tmp_path_factory):
    """Where a method's record is, for all tests that want it."""
    made = {}

    def folder_of(method):
        if method not in made:
            folder = tmp_path_factory.mktemp("run")
            job = experiments(method).job_of(method, folder / "store")
            train(settings_for(method), job, folder / "run", quiet)
            made[method] = folder / "run"
        return made[method]

    return folder_of


def quiet(line):
    pass


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(first, second):
    return all(np.array_equal(first[name], tensor) for name, tensor in second.items())


@pytest.mark.parametrize("method", METHODS)
def test_trains_records_and_predicts(method, experiments, run_of, tmp_path):
    run, experiment = run_of(method), experiments(method)
    record = json.loads((run / "run.json").read_text())
    curves = pd.read_parquet(run / "curves.parquet")
    assert curves["step"].tolist() == [0, 10, 20, 30]
    assert record["hyper_validation_accuracy"] == curves["hyper_validation_accuracy"].max()
    assert (record["method"], record["labels_per_class"], record["draw"]) == (method, 2, 0)
    assert set(record["inputs"]) >= {"domain target", "split"}
    # What it trains on, taken together, it learns.
    losses = curves[[f"loss/{stream}" for stream in record["sources"]]].sum(axis=1)
    assert losses.iloc[2:].min() < losses.iloc[1]
    mixes = recipe_of(method).mixes_by_target
    assert ("eta" in curves) == mixes
    if mixes:
        layer = f"weight/{record['layers'][0]}/"
        total = sum(curves[layer + source] for source in record["sources"]).dropna()
        if recipe_of(method).mixer == "gradmix_sgd":  # leaves a layer alone that no source helps
            assert total.between(0, 1 + 1e-9).all()
        elif recipe_of(method).mixer == "guarded_sum":  # factors, each at most 1
            assert total.between(0, len(record["sources"]) + 1e-9).all()
        else:
            np.testing.assert_allclose(total, 1)

    evaluate_run(
        run=run,
        target=experiment.domains["target"],
        test=experiment.domains["target"],
        split=experiment.split,
        labels_per_class=2,
        output=tmp_path / "metrics.json",
        device="cpu",
        log=quiet,
    )
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["test_count"] == 24
    assert np.trace(metrics["confusion"]) / 24 == pytest.approx(metrics["accuracy"])
    assert 0 <= metrics["accuracy_statistics_on_V"] <= 1


def poisoned(experiment, tmp_path, keep_sources, keep_target_rows):
    """The same domains with every image that the method may not see replaced by noise."""
    folders = {}
    for name, folder in experiment.domains.items():
        domain = open_domain(folder)
        images = np.array(domain.images)
        if name == "target":
            hidden = np.setdiff1d(np.arange(len(domain)), keep_target_rows)
        else:
            hidden = np.array([], dtype=int) if name in keep_sources else np.arange(len(domain))
        images[hidden] = np.random.default_rng(len(name)).integers(0, 255, images[hidden].shape)
        write_domain(tmp_path / name, images, domain.index.drop(columns="content"), domain.info)
        folders[name] = tmp_path / name
    return folders


@pytest.mark.parametrize("method", METHODS)
def test_is_deterministic_and_sees_only_the_sets_that_its_recipe_names(
    method, experiments, run_of, tmp_path
):
    """Trained again, with noise in all other sets: not one bit of the network or its curves is another."""
    experiment = experiments(method)
    recipe = recipe_of(method)
    split = json.loads(experiment.split.read_text())
    enlarged = json.loads(experiment.enlarged.read_text())
    rows = set(split["H"])
    for name in recipe.sees - {"sources"}:
        if name != "target_sources":
            rows |= set((split if name in ("V", "U") else enlarged)[name.replace("_enlarged", "")])
    seen = {"sources": ["near", "other"], "target_sources": ["near"]}
    keep = [source for name in recipe.sees for source in seen.get(name, [])]
    folders = poisoned(experiment, tmp_path, keep, sorted(rows))
    job = replace(experiment.job_of(method, tmp_path / "store"), domains=folders)
    train(settings_for(method), job, tmp_path / "run", quiet)
    assert same(weights(run_of(method)), weights(tmp_path / "run"))
    curves = [pd.read_parquet(run / "curves.parquet") for run in (run_of(method), tmp_path / "run")]
    pd.testing.assert_frame_equal(*curves, check_exact=True)


def test_labels_of_u_and_test_reach_no_training(experiment, run_of, tmp_path):
    """The unlabelled and test images' labels exchanged on disk: the network stays the same, bit for bit."""
    target = open_domain(experiment.domains["target"])
    split = json.loads(experiment.split.read_text())
    index = target.index.drop(columns="content").copy()
    hidden = [*split["U"], *split["test"]]
    index.loc[hidden, "label"] = (index.loc[hidden, "label"] + 1) % 3
    write_domain(tmp_path / "target", np.array(target.images), index, target.info)
    folders = {**experiment.domains, "target": tmp_path / "target"}
    job = replace(experiment.job_of("gradmix_hard", tmp_path / "store"), domains=folders)
    train(settings_for("gradmix_hard"), job, tmp_path / "run", quiet)
    assert same(weights(run_of("gradmix_hard")), weights(tmp_path / "run"))


@pytest.mark.parametrize("method", ["gradmix_hard", "gradmix_soft"])
def test_without_any_accepted_pseudo_label_training_goes_on_and_says_so(method, tmp_path):
    experiment = make_experiment(tmp_path / "experiment", confident=False)
    lines = []
    train(
        settings_of(method),
        experiment.job_of(method, tmp_path / "s"),
        tmp_path / "run",
        lines.append,
    )
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["sets"]["H"] == 18
    if method == "gradmix_hard":
        assert record["notes"] == ["no pseudo-label accepted: trained without S_u"]
        assert "note: no pseudo-label accepted: trained without S_u" in lines
        assert record["sources"] == ["near", "other"]
    else:  # soft labels need no agreement
        assert record["sources"] == ["near", "other", "S_u"]


def test_a_pack_gives_the_records_of_single_runs(experiment, tmp_path):
    members = [
        replace(
            settings_of("gradmix", gradmix={"beta": beta}),
            name="grid",
            member=f"beta{beta:g}-gamma0.6",
        )
        for beta in (5.0, 10.0)
    ]
    job = experiment.job_of("gradmix", tmp_path / "store")
    names = ("pack5", "pack10")
    train_runs(
        [Run(one, job, tmp_path / name) for one, name in zip(members, names, strict=True)], quiet
    )
    single = replace(job, store=tmp_path / "other")
    train(members[1], single, tmp_path / "single", quiet)
    assert same(weights(tmp_path / "pack10"), weights(tmp_path / "single"))
    assert not same(weights(tmp_path / "pack5"), weights(tmp_path / "pack10"))
    frames = [pd.read_parquet(tmp_path / name / "curves.parquet") for name in ("pack10", "single")]
    pd.testing.assert_frame_equal(*frames, check_exact=True)


def test_members_that_were_finished_are_not_trained_again(experiment, tmp_path):
    job, lines = experiment.job_of("gradmix", tmp_path / "store"), []
    train(settings_of("gradmix"), job, tmp_path / "run", quiet)
    before = (tmp_path / "run" / "run.json").read_bytes()
    for name in ("run.json", "model.safetensors", "curves.parquet"):
        (tmp_path / "run" / name).unlink()
    train(settings_of("gradmix"), job, tmp_path / "run", lines.append)
    assert "restored" in lines[0]
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_h2_fine_tunes_after_the_mixing(experiment, tmp_path):
    settings = settings_of("gradmix", gradmix={"last_layer": "H2"})
    train(settings, experiment.job_of("gradmix", tmp_path / "s"), tmp_path / "run", quiet)
    curves = pd.read_parquet(tmp_path / "run" / "curves.parquet")
    assert curves["step"].tolist() == [0, 3, 6, 9, 12]
    assert curves["loss/V"].iloc[-1] < curves["loss/V"].iloc[2]


def test_a_wrong_image_size_names_what_the_network_takes_and_the_domain(experiment, tmp_path):
    settings = replace(settings_of("gradmix"), image=Image(16, 16))
    with pytest.raises(
        ValueError, match=r"takes images of .*\(3, 16, 16\), but got \(3, 8, 8\) from target"
    ):
        train(settings, experiment.job_of("gradmix", tmp_path / "s"), tmp_path / "run", quiet)
    assert not (tmp_path / "run").exists()


def test_registry_and_docs_agree():
    text = DOCS.read_text(encoding="utf-8")
    for method in METHODS:
        assert f"| `{method}` | {recipe_of(method).title} |" in text
    with pytest.raises(ValueError, match="unknown method 'gradmx'; known are target_only"):
        recipe_of("gradmx")
