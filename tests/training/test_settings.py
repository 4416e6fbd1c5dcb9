"""Settings and runs come back from JSON as they were, and what is wrong in them is named."""

import json
from dataclasses import replace

import pytest
import yaml
from debug_experiment import needs_resnet, settings_of

from gradmix.config import load_config
from gradmix.config.experiment import grid_member
from gradmix.methods.recipes import METHODS
from gradmix.training.job import Run
from gradmix.training.settings import Pace, RunSettings


def through_json(values):
    return json.loads(json.dumps(values))


def again(settings):
    return RunSettings.from_json(through_json(settings.to_json()))


@pytest.mark.parametrize("name", ["config.yaml", "digits.yaml", "actions.yaml"])
def test_settings_of_a_configuration_come_back_from_json(name, repository):
    config = load_config(yaml.safe_load((repository / "config" / name).read_text()))
    settings = [config.method_settings(method) for method in config.all_methods()]
    settings.append(grid_member(config.grid_settings(), config.grid_members()[-1]))
    assert len({one.name for one in settings}) == len(settings) > 1
    for one in settings:
        assert again(one) == one


CHANGES = {
    "fine-tuning": ("gradmix", {"gradmix": {"last_layer": "H2"}}),
    "another mixer": ("dctn", {"mixer": "gradmix"}),
    "another term": ("gradmix_hard", {"terms": ["dctn"]}),
    "a joint pass": ("gradmix", {"training": {"forward": "together"}}),
    "bfloat16 and a part of H": (
        "pooled",
        {"training": {"precision": "bfloat16", "selection_per_class": "labels_per_class"}},
    ),
}


@pytest.mark.parametrize("method", METHODS)
def test_settings_of_every_method_come_back_from_json(method):
    settings = settings_of(method, resnet=needs_resnet(method))
    for one in (settings, replace(settings, member="a", title="Another title")):
        assert again(one) == one


@pytest.mark.parametrize(("method", "sections"), CHANGES.values(), ids=CHANGES)
def test_settings_with_changes_come_back_from_json(method, sections):
    settings = settings_of(method, **sections)
    assert settings != settings_of(method)
    assert again(settings) == settings


def test_what_is_given_is_what_is_read():
    settings = settings_of("gradmix", training={"learning_rate": 0.5, "steps": 7, "batch_size": 3})
    schedule = settings.schedule
    assert (schedule.learning_rate, schedule.steps, settings.batch_sizes.sources) == (0.5, 7, 3)
    # Keys of a schedule that this method does not follow have no effect, and are not kept.
    assert again(settings_of("gradmix", training={"fine_tune_steps": 99})) == settings_of("gradmix")
    assert settings_of("fine_tune", training={"fine_tune_steps": 99}).schedule.steps == 99
    assert settings_of("dctn").schedule.optimizer == "adam"


def changed(path, value=None):
    """GradMix's settings as JSON, with another value there; ``None``: without the key."""
    values = through_json(settings_of("gradmix").to_json())
    section = values
    for key in path[:-1]:
        section = section[key]
    if value is None:
        del section[path[-1]]
    else:
        section[path[-1]] = value
    return values


@pytest.mark.parametrize(
    "path",
    [
        *(("recipe",), ("method",), ("sources",), ("target",), ("image",), ("network",)),
        *(("training",), ("training", "steps"), ("training", "learning_rate")),
        *(("image", "height"), ("method", "streams")),
    ],
)
def test_a_missing_key_is_named(path):
    with pytest.raises(ValueError, match=rf"^settings of gradmix: .*'{path[-1]}'"):
        RunSettings.from_json(changed(path))


@pytest.mark.parametrize(
    "path",
    [
        *(("unknown",), ("schedule",), ("batch_sizes",), ("training", "unknown")),
        *(("image", "unknown"), ("method", "unknown"), ("method", "streams", 0, "unknown")),
    ],
)
def test_an_unknown_key_is_named(path):
    with pytest.raises(ValueError, match=rf"^settings of gradmix: .*'{path[-1]}'"):
        RunSettings.from_json(changed(path, 1))


def test_what_is_wrong_in_a_candidate_is_named():
    settings = settings_of("best_single_source").to_json()
    del settings["candidates"]["near"]["target"]
    with pytest.raises(ValueError, match="settings of best_single_source: 'target' is missing"):
        RunSettings.from_json(settings)


def test_a_run_comes_back_from_json(experiment, tmp_path):
    job = experiment.job(tmp_path / "store", enlarged=experiment.enlarged, pace=Pace(5.0, 2))
    for run in (
        Run(settings_of("gradmix_hard"), job, tmp_path / "run"),
        Run(settings_of("best_single_source"), replace(job, ranks=2, threads=4), tmp_path / "run"),
    ):
        assert Run.from_json(through_json(run.to_json())) == run
