"""Conditions, and methods' own sources: what is trained under which name, and what is refused."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from gradmix.config import ConfigError, load_config

DEFAULT = yaml.safe_load((Path(__file__).parents[1] / "config" / "config.yaml").read_text())
CLEAN = {"title": "Clean", "sources": ["rendered_5_9", "sklearn_0_4"]}
OTHER = {"title": "Other", "sources": ["rendered_5_9", "near_wrong"]}
METHODS = {"target_only": {}, "pooled": {}, "fine_tune": {}, "gradmix_hard": {}, "drop_one": {}}


def configuration(**changes):
    values = {"methods": METHODS, "conditions": {"clean": CLEAN, "other": OTHER}} | changes
    return load_config({**copy.deepcopy(DEFAULT), "tuning": {"budget": 4}, **values})


def problems(**changes):
    with pytest.raises(ConfigError) as error:
        configuration(**changes)
    return str(error.value)


def test_methods_that_see_sources_are_rows_of_every_condition():
    config = configuration()
    rows = [(row["name"], row["method"], row["condition"]) for row in config.all_rows()]
    assert rows == [
        ("target_only", "target_only", ""),
        ("pooled", "pooled", "clean"),
        ("fine_tune", "fine_tune", "clean"),
        ("gradmix_hard", "gradmix_hard", "clean"),
        ("drop_one", "drop_one", "clean"),
        ("pooled@other", "pooled", "other"),
        ("fine_tune@other", "fine_tune", "other"),
        ("drop_one@other", "drop_one", "other"),
    ]
    assert config.title_of("pooled@other") == config.title_of("pooled")


def test_a_condition_changes_the_sources_and_nothing_else():
    config = configuration()
    plain, other = config.method_settings("pooled"), config.method_settings("pooled@other")
    assert other == replace(plain, name="pooled@other", sources=("rendered_5_9", "near_wrong"))
    assert config.starts_from("fine_tune@other") == "source_only@other"
    assert config.method_settings("source_only@other").to_json()["sources"] == OTHER["sources"]
    assert config.starts_from("fine_tune") == "source_only"
    # Splits cover all of them, and so does the leak guard.
    assert config.split_settings()["sources"] == ["rendered_5_9", "sklearn_0_4", "near_wrong"]


def test_drop_one_tries_all_sources_and_all_but_each():
    tried = configuration().method_settings("drop_one@other").to_json()["candidates"]
    assert {name: one["sources"] for name, one in tried.items()} == {
        "all": ["rendered_5_9", "near_wrong"],
        "without_rendered_5_9": ["near_wrong"],
        "without_near_wrong": ["rendered_5_9"],
    }


def test_a_condition_may_be_smaller():
    config = configuration(
        conditions={"clean": CLEAN, "other": OTHER | {"methods": ["pooled"], "labels_per_class": 5}}
    )
    assert [row["name"] for row in config.all_rows() if row["condition"] == "other"] == [
        "pooled@other"
    ]
    assert config.evaluated_at("pooled@other") == (5,)
    assert config.evaluated_at("pooled") == (2, 5)


def test_without_conditions_there_is_nothing_of_them():
    config = configuration(conditions={})
    assert {row["condition"] for row in config.all_rows()} == {""}
    assert config.all_rows() == config.rows()


def test_a_method_with_sources_of_its_own():
    mine = {"recipe": "pooled", "sources": ["rendered_5_9", "near_wrong"]}
    config = configuration(methods={"pooled": {}, "mine": mine})
    assert config.method_settings("mine").to_json()["sources"] == ["rendered_5_9", "near_wrong"]
    assert "mine@other" not in [row["name"] for row in config.all_rows()]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conditions": {"other": OTHER}}, "conditions: one must have the experiment's own"),
        (
            {"conditions": {"clean": CLEAN, "other": {"title": "No sources"}}},
            "conditions.other.sources: is missing",
        ),
        (
            {"conditions": {"clean": CLEAN, "other": OTHER | {"sources": []}}},
            "conditions.other.sources",
        ),
        (
            {"conditions": {"clean": CLEAN, "other": CLEAN}},
            "conditions.other.sources: are those of condition clean",
        ),
        (
            {"conditions": {"clean": CLEAN, "other": OTHER | {"sources": ["near_rong"]}}},
            "conditions.other.sources: there is no domain 'near_rong'; did you mean near_wrong?",
        ),
        (
            {"conditions": {"clean": CLEAN, "other": OTHER | {"sources": ["sklearn_0_4"]}}},
            "conditions.other.sources: none shares the target's label space digits_5_9",
        ),
        (
            {"conditions": {"clean": CLEAN, "other": OTHER | {"sources": ["sklearn_5_9"]}}},
            "conditions.other.sources: sklearn_5_9 is also the target",
        ),
        (
            {"conditions": {"clean": CLEAN, "other": OTHER | {"labels_per_class": 3}}},
            "conditions.other.labels_per_class: 3 is none of labels_per_class (2, 5)",
        ),
        (
            {"conditions": {"clean": CLEAN, "other": OTHER | {"methods": ["poled"]}}},
            "conditions.other.methods: no method 'poled' is listed; did you mean pooled?",
        ),
        (
            {"conditions": {"clean": CLEAN, "other": OTHER | {"methods": ["gradmix_hard"]}}},
            "gradmix_hard cannot take part: it learns from pseudo-labels",
        ),
        (
            {"conditions": {"clean": CLEAN, "other": OTHER | {"methods": ["target_only"]}}},
            "target_only cannot take part: it sees no source",
        ),
        (
            {"conditions": {"clean": CLEAN | {"methods": ["pooled"]}, "other": OTHER}},
            "conditions.clean.methods: has no effect",
        ),
        (
            {"methods": {"pooled": {"sources": ["sklearn_0_4"]}}},
            "methods.pooled.sources: none shares the target's label space",
        ),
        (
            {"methods": {"target_only": {"sources": ["near_wrong"]}}},
            "methods.target_only.sources: has no effect: recipe target_only sees no source",
        ),
        ({"tuning": {"budget": 2}}, "methods.drop_one: tries 3 settings"),
        ({"gradmix": {"average": 1.0}}, "gradmix.average: must be below 1"),
        (
            {"methods": {"guarded_sum": {"options": {"guarded_sum": {"average": 1.5}}}}},
            "methods.guarded_sum.options.guarded_sum.average: must be below 1, but is 1.5",
        ),
        (
            {"methods": {"guarded_sum": {"options": {"guarded_sum": {"per": "network"}}}}},
            "options.guarded_sum.per: must be one of 'layer' or 'source', but is 'network'",
        ),
    ],
)
def test_mistakes_are_named(changes, message):
    assert message in problems(**changes)
