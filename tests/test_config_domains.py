"""Parts of raw data and perturbed domains in the configuration."""

import pytest
from test_config import problems, put

from gradmix.config import load_config

DIGITS = {"origin": "sklearn_digits", "label_space": "digits_5_9"}
FOLDER = {"origin": "clip_folder", "folder": "f", "every": 5, "label_space": "digits_5_9"}
PERTURBED = {"origin": "perturbed", "of": "sklearn_5_9"}


def test_a_perturbed_domain_has_the_settings_of_another_and_its_changes(plain_config):
    put(plain_config, "domains.sklearn_5_9.share", [0, 0.5])
    changes = {"images": 0.7, "labels": {"share": 1, "kind": "shift"}, "seed": 3}
    put(plain_config, "domains.near", PERTURBED | changes)
    put(plain_config, "sources", ["rendered_5_9", "near"])
    config = load_config(plain_config)
    assert config.domains["near"].label_space == "digits_5_9"
    of, near = config.domain_settings("sklearn_5_9"), config.domain_settings("near")
    assert of["settings"]["share"] == [0, 0.5]
    perturbed = near["settings"].pop("perturbed")
    assert near == of
    assert perturbed == {
        "images": {"share": 0.7, "kind": "any"},
        "labels": {"share": 1, "kind": "shift"},
        "seed": 3,
    }
    assert load_config(config.resolved()) == config
    assert "label_space" not in plain_config["domains"]["near"]


def test_it_changes_nothing_unless_told_to(plain_config):
    put(plain_config, "domains.near", PERTURBED | {"labels": None})
    near = load_config(plain_config).domains["near"]
    assert (near.images.share, near.labels.share, near.seed) == (0, 0, 0)


def test_a_perturbed_test_domain_has_clips_where_the_other_has(plain_config):
    put(plain_config, "domains.clips", FOLDER)
    put(plain_config, "domains.near", PERTURBED | {"of": "clips"})
    put(plain_config, "target.test_domain", "near")
    assert load_config(plain_config).has_clips()


def test_a_perturbed_domain_shares_the_classes_that_are_found(plain_config):
    put(plain_config, "label_spaces.own", "auto")
    put(plain_config, "domains.clips", FOLDER | {"label_space": "own"})
    put(plain_config, "domains.near", PERTURBED | {"of": "clips"})
    assert load_config(plain_config).domain_settings("near")["positions"] is None


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"of": "sklearn_59"}, "of", "there is no domain 'sklearn_59'; did you mean sklearn_5_9?"),
        ({"of": "near"}, "of", "near is itself perturbed"),
        ({"label_space": "digits_0_4"}, "label_space", "that of sklearn_5_9 is digits_5_9"),
        ({"share": [0, 1]}, "share", "unknown key"),
        ({"classes": {"5": "6"}}, "classes", "unknown key"),
        ({"resize": "none"}, "resize", "unknown key"),
        ({"images": 1.5}, "images", "must be at most 1, but is 1.5"),
        ({"labels": {"share": -0.1}}, "labels.share", "must be at least 0, but is -0.1"),
        ({"images": {"kind": "blur"}}, "images.kind", "must be one of 'any' or 'noise'"),
        ({"labels": {"kind": "shft"}}, "labels.kind", "must be one of 'uniform' or 'shift'"),
        ({"labels": {"knd": "shift"}}, "labels.knd", "did you mean domains.near.labels.kind?"),
        ({"images": True}, "images", "must be a number, but is true or false"),
    ],
)
def test_mistakes_in_perturbed_domains(plain_config, change, path, message):
    put(plain_config, "domains.near", PERTURBED | change)
    ((key, what),) = problems(plain_config)
    assert key == f"domains.near.{path}"
    assert message in what


@pytest.mark.parametrize(
    ("share", "path", "message"),
    [
        ([0.5, 0.5], "share", "must be [from, to] with 0 <= from < to <= 1, but is [0.5, 0.5]"),
        ([0, 1.1], "share", "with 0 <= from < to <= 1"),
        ([-0.1, 1], "share", "with 0 <= from < to <= 1"),
        ([0, 0.5, 1], "share", "takes at most 2 entries"),
        (0.5, "share", "must be a list, but is 0.5"),
        ([0, "half"], "share[1]", "must be a number, but is the text 'half'"),
    ],
)
def test_mistakes_in_shares(plain_config, share, path, message):
    put(plain_config, "domains.part", DIGITS | {"share": share})
    ((key, what),) = problems(plain_config)
    assert key == f"domains.part.{path}"
    assert message in what


@pytest.mark.parametrize(
    ("base", "one", "two", "message"),
    [
        (DIGITS, {"share": [0, 0.5]}, {"share": [0.5, 1]}, None),
        (DIGITS, {"share": [0, 0.5]}, {"share": [0, 0.5]}, None),
        (DIGITS, {"share": [0, 0.5]}, {}, None),
        (DIGITS, {"share": [0, 0.5]}, {"share": [0.4, 1]}, "[0.4, 1] overlaps that of one, [0, 0"),
        (
            DIGITS,
            {"share": [0, 0.5]},
            {"share": [0.4, 1], "label_space": "digits_0_4"},
            "overlaps that of one",
        ),
        (
            DIGITS,
            {"share": [0, 0.5]},
            {"share": [0.5, 1], "resize": "none"},
            "does not keep it apart from one",
        ),
        (FOLDER, {"share": [0, 0.5]}, {"share": [0.5, 1], "resize": "stretch"}, None),
        (FOLDER, {"share": [0, 0.5]}, {"share": [0, 0.6], "folder": "g"}, None),
        (FOLDER, {"share": [0, 0.5]}, {"share": [0, 0.6], "every": 9}, "overlaps that of one"),
    ],
)
def test_shares_of_the_same_raw_data_do_not_overlap(plain_config, base, one, two, message):
    put(plain_config, "domains.one", base | one)
    put(plain_config, "domains.two", base | two)
    if message is None:
        load_config(plain_config)
        return
    ((key, what),) = problems(plain_config)
    assert key == "domains.two.share"
    assert message in what


HIGH = {name: label for label, name in enumerate("56789")}


@pytest.mark.parametrize(
    ("names", "classes", "expected"),
    [
        ("56789", None, HIGH),
        (["five", *"6789"], {"5": "five"}, HIGH),
        (["five", *"6789"], {"5": "five", "4": "five"}, {"4": 0, **HIGH}),
        # A class that has the name itself is taken where nothing else is named so, or where it is listed.
        ("56789", {"4": "5"}, {"4": 0, "6": 1, "7": 2, "8": 3, "9": 4}),
        ("56789", {"4": "5", "5": "5"}, {"4": 0, **HIGH}),
        ("56789", {"5": "6", "6": "5"}, {"6": 0, "5": 1, "7": 2, "8": 3, "9": 4}),
        ("65789", None, {"6": 0, "5": 1, "7": 2, "8": 3, "9": 4}),
    ],
)
def test_what_classes_are_called_is_no_part_of_what_preparing_depends_on(
    plain_config, names, classes, expected
):
    put(plain_config, "label_spaces.digits_5_9", list(names))
    put(plain_config, "domains.sklearn_5_9.classes", classes)
    config = load_config(plain_config)
    found = config.domain_settings("sklearn_5_9")
    assert list(found["positions"].items()) == list(expected.items())
    assert "classes" not in found["settings"]
    assert config.class_names("sklearn_5_9") == list(names)


def test_a_class_that_is_only_renamed_away(plain_config):
    put(plain_config, "domains.sklearn_5_9.classes", {"5": "6"})
    faults = dict(problems(plain_config))
    assert "no class of the origin for '5'" in faults["domains.sklearn_5_9.classes.5"]
