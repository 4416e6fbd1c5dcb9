"""Class names become labels: selection, merging and what is refused."""

import numpy as np
import pytest

from gradmix.domains.classes import labels_of


def test_selection_and_what_is_left_out():
    labels, names, left_out = labels_of(np.array(list("cabbx")), {"b": 0, "a": 1})
    assert labels.tolist() == [-1, 1, 0, 0, -1]
    assert labels.dtype == np.int64
    assert names == ["b", "a"]
    assert left_out == {"c": 1, "x": 1}


def test_merged_classes_are_named_by_all_of_them():
    labels, names, _ = labels_of(np.array(list("abc")), {"c": 1, "a": 1, "b": 0})
    assert labels.tolist() == [1, 0, 1]
    assert names == ["b", "a + c"]


def test_all_classes_are_sorted():
    labels, names, left_out = labels_of(np.array(list("cabb")), None)
    assert labels.tolist() == [2, 0, 1, 1]
    assert (names, left_out) == (["a", "b", "c"], {})


@pytest.mark.parametrize(
    ("origin", "positions", "message"),
    [
        ("abc", {"z": 0, "b": 1}, "the origin has no class 'z', .* it has 'a', 'b', 'c'"),
        ("abc", {"a": 0, "d": 1}, "the origin has no class 'd'"),
        ("abc", {"x": 0, "y": 1}, "no image is of a class of the label space"),
        ("aa", None, "all images are of one class, 'a': nothing can be learned"),
    ],
)
def test_refused(origin, positions, message):
    with pytest.raises(ValueError, match=message):
        labels_of(np.array(list(origin)), positions)


def test_long_lists_are_cut():
    names = np.array([f"class{number}" for number in range(101)])
    with pytest.raises(ValueError, match=r"\.\.\. \(101 in all\)"):
        labels_of(names, {"a": 0, "b": 1})
