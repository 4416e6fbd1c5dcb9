"""Class names become labels: selection, renaming, merging and what is refused."""

import numpy as np
import pytest

from gradmix.domains.classes import labels_of, wanted_classes


def test_selection_and_what_is_left_out():
    labels, left_out = labels_of(np.array(list("cabbx")), {}, ["b", "a"])
    assert labels.tolist() == [-1, 1, 0, 0, -1]
    assert labels.dtype == np.int64
    assert left_out == {"c": 1, "x": 1}


def test_swapping_names_is_no_collision():
    labels, _ = labels_of(np.array(list("ab")), {"a": "b", "b": "a"}, ["a", "b"])
    assert labels.tolist() == [1, 0]


def test_wanted_classes_are_those_of_the_origin():
    assert wanted_classes({"1": "one", "7": "one"}, ["one", "2"]) == {"1", "7", "one", "2"}
    assert wanted_classes({"1": "2"}, ["1", "2"]) == {"1", "2"}
    assert wanted_classes({}, ["5", "6"]) == {"5", "6"}


@pytest.mark.parametrize(
    ("renamed", "classes", "message"),
    [
        ({"z": "a"}, ["a", "b"], "the origin has no class 'z'; it has 'a', 'b', 'c'"),
        ({"c": "a"}, ["a", "b"], "'a' is the new name of another class"),
        ({}, ["a", "d"], "nothing can be learned"),
        (
            {},
            ["a", "b", "d"],
            "there is no image of class 'd' of the label space, only of 'a', 'b'",
        ),
        ({}, ["x", "y"], "no image is of a class of the label space"),
    ],
)
def test_refused(renamed, classes, message):
    with pytest.raises(ValueError, match=message):
        labels_of(np.array(list("abc")), renamed, classes)


def test_long_lists_are_cut():
    names = np.array([f"class{number}" for number in range(101)])
    with pytest.raises(ValueError, match=r"\.\.\. \(101 in all\)"):
        labels_of(names, {}, ["a", "b"])
