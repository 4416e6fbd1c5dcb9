"""The tables of recipes, mixers and terms, and what training takes of them."""

import json
from importlib import import_module

import pytest

from gradmix.config import load_config
from gradmix.methods.method import Method
from gradmix.methods.mixers import MIXERS
from gradmix.methods.recipes import METHODS, RECIPES, recipe_of
from gradmix.mixing.mixer import GradientMixer
from gradmix.terms.registry import TERMS


@pytest.mark.parametrize("method", METHODS)
def test_json_makes_an_equal_method_whatever_is_put_into_the_recipe(method):
    for mixer in (None, *MIXERS):
        for term in [name for name, part in TERMS.items() if part.on_unlabelled]:
            for terms in ((), (term,)):
                made = recipe_of(method).combined(mixer, terms).method()
                text = json.dumps(made.to_json())
                assert Method.from_json(json.loads(text)) == made


@pytest.mark.parametrize("name", MIXERS)
def test_the_table_of_mixers_knows_its_classes(name):
    module, _, kind = MIXERS[name].kind.rpartition(".")
    found = getattr(import_module(module), kind)
    assert issubclass(found, GradientMixer)
    assert MIXERS[name].guided == (found.needs != "losses")


@pytest.mark.parametrize("name", TERMS)
def test_every_term_is_made_from_its_default_options(name):
    term = import_module(f"gradmix.terms.{name}").make(TERMS[name].options)
    assert term.state() is not None


@pytest.mark.parametrize("name", TERMS)
def test_the_table_of_terms_knows_which_take_part_in_a_joint_pass(name):
    term = import_module(f"gradmix.terms.{name}").make(TERMS[name].options)
    assert TERMS[name].reads_features == term.reads_features


def test_every_recipe_stands_once_and_names_what_exists():
    assert list(METHODS) == [recipe.name for recipe in RECIPES]
    for recipe in RECIPES:
        assert recipe.mixer in MIXERS
        assert {stream.term for stream in recipe.streams} <= set(TERMS)
        assert recipe.mixes_by_target == any(s.role == "guide" for s in recipe.streams)
        assert recipe.starts_from is None or recipe.starts_from in METHODS
        assert set(recipe.options) <= set(recipe.default_options())


def test_a_methods_settings_hold_what_training_takes_and_not_the_title(default_config):
    config = load_config(default_config)
    settings = config.method_settings("gradmix")
    assert settings.method == recipe_of("gradmix").method()
    assert config.grid_settings().method == settings.method
    assert recipe_of("pooled").title not in json.dumps(config.method_settings("pooled").to_json())
