"""Methods in a configuration: parts put together, options, candidates within the budget, ablations."""

import copy
import json
import math
from pathlib import Path

import pytest
import yaml

from gradmix.config import ConfigError, load_config
from gradmix.methods.mixers import MIXERS
from gradmix.methods.recipes import RECIPES
from gradmix.terms.registry import TERMS

DEFAULT = yaml.safe_load((Path(__file__).parents[1] / "config" / "config.yaml").read_text())
DEFAULT["conditions"] = {}


def configuration(**changes):
    return load_config({**copy.deepcopy(DEFAULT), **changes})


def problems(**changes):
    with pytest.raises(ConfigError) as error:
        configuration(**changes)
    return str(error.value)


def test_a_mixer_and_terms_make_a_new_row():
    methods = {
        "mine": {"recipe": "pooled", "mixer": "gradmix", "terms": ["entropy"]},
        "summed": {"recipe": "gradmix", "mixer": "sum"},
    }
    config = configuration(methods=methods)
    recipe = config.recipe("mine")
    assert [(s.images, s.role, s.term) for s in recipe.streams] == [
        ("sources", "source", "cross_entropy"),
        ("V", "guide", "cross_entropy"),
        ("U", "source", "entropy"),
    ]
    settings = config.method_settings("mine").to_json()
    assert (settings["mixer"], settings["terms"]) == ("gradmix", ["entropy"])
    assert settings["options"]["entropy"] == {"weight": 0.1}
    assert "unlabelled_batch_size" in settings["training"]
    assert [s.role for s in config.recipe("summed").streams] == ["source", "source"]
    assert not config.method_settings("summed").gradmix


def test_a_term_on_u_joins_the_gradient_of_s_u():
    config = configuration(methods={"mine": {"recipe": "gradmix_hard", "terms": ["entropy"]}})
    assert config.recipe("mine").streams[-1].joins == "S_u_hard"


def test_candidates_of_all_methods_drop_what_a_method_does_not_use():
    tuning = {
        "budget": 2,
        "candidates": {"full": {}, "low": {"training": {"fine_tune_learning_rate": 0.001}}},
    }
    config = configuration(tuning=tuning)
    # For pooled both are the same settings, so it tries one.
    assert config.candidates("pooled") == 1
    assert not config.method_settings("pooled").candidates
    tried = config.method_settings("fine_tune").to_json()["candidates"]
    assert list(tried) == ["full", "low"]
    assert tried["low"]["training"]["fine_tune_learning_rate"] == 0.001
    assert tried["full"]["training"]["fine_tune_learning_rate"] == 0.005


def test_the_candidates_of_one_source_at_a_time_are_the_sources():
    config = configuration(methods={"best_single_source": {}}, tuning={"budget": 2})
    tried = config.method_settings("best_single_source").to_json()["candidates"]
    assert {name: own["sources"] for name, own in tried.items()} == {
        "rendered_5_9": ["rendered_5_9"],
        "sklearn_0_4": ["sklearn_0_4"],
    }


def weights(**by_set):
    return {"options": {"fixed_weights": {"weights": by_set}}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"methods": {"best_single_source": {}}},
            "methods.best_single_source: tries 2 settings, more than tuning.budget (1)",
        ),
        (
            {"methods": {"pooled": {"mixer": "gradmx"}}},
            "methods.pooled.mixer: there is no mixer 'gradmx'",
        ),
        (
            {"methods": {"pooled": {"mixer": "none"}}},
            "methods.pooled.mixer: there is no mixer 'none' (sum, mean, fixed_weights, gradmix, "
            "gradmix_fixed_rate, gradmix_sgd, guided_sum, guarded_sum); "
            "the plain sum of the losses is `mixer: sum`",
        ),
        (
            {"methods": {"pooled": {"terms": ["cross_entropy"]}}},
            "there is no term 'cross_entropy' for unlabelled images",
        ),
        (
            {"methods": {"source_only": {"mixer": "gradmix"}}},
            "gradmix needs V as its guide, but recipe source_only has none",
        ),
        ({"methods": {"fixed_weights": {}}}, "methods.fixed_weights: has no weights"),
        (
            {"methods": {"fixed_weights": {"options": {"fixed_weights": {"wieghts": {}}}}}},
            "wieghts: unknown key; did you mean methods.fixed_weights.options.fixed_weights.weights?",
        ),
        (
            {"methods": {"mdda": {"options": {"entropy": {"weight": "much"}}}}},
            "methods.mdda.options.entropy.weight: must be a number, but is the text 'much'",
        ),
        (
            {"methods": {"pooled": {"options": {"entropy": {"weight": 1}}}}},
            "methods.pooled.options.entropy: recipe pooled has no part with options",
        ),
        (
            {"methods": {"fine_tune": {"network": {"width": 8}}}},
            "methods.fine_tune.network: has no effect: it starts from source_only's network",
        ),
        (
            {"methods": {"gradmix": {"pseudo_labels": {"models": 2}}}},
            "methods.gradmix.pseudo_labels: has no effect: it sees no pseudo-labels",
        ),
        (
            {"methods": {"gradmix_hard": {"pseudo_labels": {"models": 9}}}},
            "methods.gradmix_hard.pseudo_labels.models: is 9, but the grid has only 3 members",
        ),
        (
            {"ablations": {"a": {"title": "A", "methods": {"gradmix": {}}}}},
            "ablations.a.methods: needs at least 2 entries",
        ),
        (
            {
                "ablations": {
                    "a": {
                        "title": "A",
                        "methods": {"pooled": {}, "gradmix": {"gradmix": {"beta": 3}}},
                    }
                }
            },
            "ablations.a.methods.gradmix: differs from methods.gradmix; give it a name of its own",
        ),
        (
            {
                "ablations": {
                    "a": {
                        "title": "A",
                        "labels_per_class": 7,
                        "methods": {"pooled": {}, "gradmix": {}},
                    }
                }
            },
            "ablations.a.labels_per_class: 7 is none of labels_per_class (2, 5)",
        ),
    ],
)
def test_mistakes_are_named(changes, message):
    assert message in problems(**changes)


METHOD_OF = {
    part: recipe.name for recipe in reversed(RECIPES) for part in recipe.default_options()
} | {"entropy": "mdda"}
OPTIONS = [
    (part, name, option)
    for parts in (MIXERS, TERMS)
    for part, described in parts.items()
    for name, option in described.takes.items()
]


@pytest.mark.parametrize(("part", "name", "option"), OPTIONS, ids=lambda value: str(value)[:30])
def test_every_option_has_a_type_and_a_range(part, name, option):
    methods = {"mine": {"recipe": METHOD_OF.get(part, "pooled"), "terms": []}}
    if part not in METHOD_OF:
        methods["mine"]["terms"] = [part]

    def given(value):
        methods["mine"]["options"] = {part: {name: value}}
        # EnergyNet needs another network.
        network = {"network": {"name": "resnet18"}, "image": {"height": 32, "width": 32}}
        return configuration(methods=methods, **network)

    default = (
        given(option.default or {"V": 2.0}) if option.takes == "weights" else given(option.default)
    )
    json.dumps(default.method_settings("mine").to_json(), allow_nan=False)
    hostile = [math.nan, math.inf, -math.inf, None, "much", [], [1.0], {"a": {"b": 1}}, 10**400]
    if option.takes != "flag":
        hostile += [-1, True]
    if option.takes in ("below_one", "share"):
        hostile += [1.0 + 1e-9]
    if option.takes in ("positive", "count"):
        hostile += [0]
    for value in hostile:
        with pytest.raises(
            ConfigError, match=rf"\n  methods\.mine\.options\.{part}\.{name}[\w.]*: "
        ):
            given(value)


def test_options_are_numbers_as_other_keys_are():
    options = {"vat": {"weight": "1e-3", "epsilon": 3, "iterations": 2.0}}
    config = configuration(methods={"gradmix_vat": {"options": options}})
    given = config.method_settings("gradmix_vat").options["vat"]
    # As whole numbers, or not: a setting that is written otherwise is another one.
    assert repr(given) == "{'weight': 0.001, 'epsilon': 3, 'xi': 0.01, 'iterations': 2}"


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (
            {"fixed_weights": weights(rendred_5_9=1)},
            "methods.fixed_weights.options.fixed_weights.weights: no set that trains is called 'rendred_5_9'; "
            "did you mean rendered_5_9? (rendered_5_9, sklearn_0_4, V)",
        ),
        (
            {"fixed_weights": {"candidates": {"a": weights(V=2), "b": weights(H=2)}}},
            "methods.fixed_weights.candidates.b.options.fixed_weights.weights: no set that trains is called 'H'",
        ),
        (
            {"fixed_weights": weights(rendered_5_9=0, sklearn_0_4=0, V=0)},
            "methods.fixed_weights.options.fixed_weights.weights: are all 0",
        ),
        (
            {"fixed_weights": weights(V=-1)},
            "methods.fixed_weights.options.fixed_weights.weights.V: must be at least 0, but is -1",
        ),
        # Each of drop-one's trainings lacks a source.
        (
            {"mine": {"recipe": "drop_one", "mixer": "fixed_weights"} | weights(sklearn_0_4=2)},
            "methods.mine.options.fixed_weights.weights: no set that trains is called 'sklearn_0_4'",
        ),
        # U's loss is part of S_u's gradient, and so has its weight.
        (
            {
                "mine": {"recipe": "pooled_hard", "mixer": "fixed_weights", "terms": ["entropy"]}
                | weights(U=2)
            },
            "no set that trains is called 'U' (rendered_5_9, sklearn_0_4, S_u, V)",
        ),
    ],
)
def test_fixed_weights_are_for_sets_that_train(methods, message):
    assert message in problems(methods=methods, tuning={"budget": 3})


TOGETHER = {"training": {"forward": "together"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"methods": {"target_only": TOGETHER}},
            "methods.target_only.training.forward: has no effect: target_only has no two sets whose forward",
        ),
        (
            {"methods": {"mdda": {"candidates": {"a": TOGETHER}}}},
            "methods.mdda.candidates.a.training.forward: has no effect: mdda has no two sets",
        ),
        (
            {"methods": {"target_only_mixmatch": TOGETHER}},
            "methods.target_only_mixmatch.training.forward: has no effect",
        ),
        (
            {"methods": {"pooled": TOGETHER}, "resources": {"gpu": 2}},
            "methods.pooled.training.forward: is together, but several GPUs of a run (resources.gpu: 2)",
        ),
        (
            {
                "methods": {"pooled": {}},
                "resources": {"gpu": 2},
                "tuning": {"budget": 2, "candidates": {"a": TOGETHER, "b": {}}},
            },
            "tuning.candidates.a.training.forward: is together, but several GPUs",
        ),
        (
            {"methods": {"target_only": {}, "fine_tune": {}}}
            | {"training": DEFAULT["training"] | TOGETHER["training"]},
            "training.forward: has no effect: none of target_only, fine_tune has two sets whose forward",
        ),
    ],
)
def test_a_joint_pass_that_no_method_makes_is_told(changes, message):
    assert message in problems(**changes)


def test_a_joint_pass_that_some_methods_make_is_fine():
    methods = {"target_only": {}, "pooled": TOGETHER, "mme": TOGETHER, "gradmix_soft": TOGETHER}
    configuration(methods=methods, training=DEFAULT["training"] | TOGETHER["training"])


def test_ablations_bring_methods_of_their_own():
    ablations = {
        "last_layer": {
            "title": "Heads",
            "methods": {
                "gradmix": {},
                "gradmix_H2": {"recipe": "gradmix", "gradmix": {"last_layer": "H2"}},
            },
        }
    }
    config = configuration(ablations=ablations)
    assert list(config.all_methods())[-1] == "gradmix_H2"
    assert "gradmix_H2" not in config.methods
    assert config.method_settings("gradmix_H2").to_json()["gradmix"]["last_layer"] == "H2"
    assert [row["name"] for row in config.rows("last_layer")] == ["gradmix", "gradmix_H2"]


def test_fixed_weights_as_candidates():
    methods = {"fixed_weights": {"candidates": {"v": weights(V=3), "s": weights(sklearn_0_4=0.5)}}}
    tried = configuration(methods=methods, tuning={"budget": 2}).method_settings("fixed_weights")
    given = [own.options["fixed_weights"]["weights"] for own in tried.candidates.values()]
    assert given == [{"V": 3}, {"sklearn_0_4": 0.5}]
