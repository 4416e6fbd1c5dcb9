"""Pseudo-labels: who is accepted, how V is filled up, and what becomes of too few."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradmix.pseudo_labels import enlarge, label_unlabelled, quality

CLASSES = ["a", "b", "c"]
SPLIT = {"draw": 0, "labels_per_class": 1, "classes": CLASSES, "V": [100, 101, 102]}


def labelled(*images, threshold=0.8):
    """Labels of images given as R rows of class probabilities each."""
    probabilities_RNC = np.array(images, dtype=np.float32).transpose(1, 0, 2)
    return label_unlabelled(probabilities_RNC, np.arange(len(images)) * 10, threshold)


def sure(labels, confidence=0.9):
    """Predictions of three models that agree on these labels; -1: the models are torn."""
    images = []
    for label in labels:
        p = np.full(3, (1 - confidence) / 2)
        p[label] = confidence
        images.append([p] * 3 if label >= 0 else [[0.4, 0.3, 0.3]] * 3)
    return labelled(*images)


def enlarged(labels, to, split=SPLIT, seed=0):
    predictions = sure(labels)
    split = split | {"U": predictions["row"].tolist()}
    return enlarge(split, [0, 1, 2], predictions, to=to, seed=seed)


def test_all_models_must_agree_and_each_be_above_the_threshold():
    frame = labelled(
        [[0.9, 0.05, 0.05], [0.85, 0.1, 0.05], [0.95, 0.0, 0.05]],  # accepted
        [[0.9, 0.05, 0.05], [0.9, 0.05, 0.05], [0.05, 0.9, 0.05]],  # one disagrees
        [[0.99, 0.0, 0.01], [0.99, 0.0, 0.01], [0.75, 0.2, 0.05]],  # one is unsure, the mean is not
    )
    assert frame["label"].tolist() == [0, -1, -1]
    assert frame["row"].tolist() == [0, 10, 20]
    np.testing.assert_allclose(frame["confidence"], [0.85, 0.05, 0.75], rtol=1e-6)
    assert frame["model_2_label"].tolist() == [0, 1, 0]
    np.testing.assert_allclose(frame["model_1_confidence"], [0.85, 0.9, 0.99], rtol=1e-6)
    np.testing.assert_allclose(frame["soft_0"], [0.9, 1.85 / 3, 2.73 / 3], rtol=1e-6)
    assert {str(frame[name].dtype) for name in ("row", "label", "model_0_label")} == {"int64"}
    assert {str(frame[name].dtype) for name in ("confidence", "soft_2")} == {"float32"}


@pytest.mark.parametrize(("p", "accepted"), [(0.75, False), (0.75 + 2**-20, True), (0.7, False)])
def test_the_threshold_itself_is_not_enough(p, accepted):
    frame = labelled([[p, 1 - p, 0], [0.9, 0.1, 0]], threshold=0.75)
    assert (frame["label"][0] == 0) is np.bool_(accepted)


def test_one_model_is_enough():
    assert labelled([[0.9, 0.1, 0.0]], [[0.5, 0.5, 0.0]])["label"].tolist() == [0, -1]


def test_bad_input_is_refused():
    p = np.full((2, 4, 3), 1 / 3)
    with pytest.raises(ValueError, match="4 predictions, but 5 rows"):
        label_unlabelled(p, np.arange(5), 0.8)
    for threshold in (1.0, -0.1):
        with pytest.raises(ValueError, match=r"threshold must lie in \[0, 1\), but got"):
            label_unlabelled(p, np.arange(4), threshold)
    p[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match="model 1 of the ensemble predicts NaN"):
        label_unlabelled(p, np.arange(4), 0.8)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(2, 6), st.floats(0, 0.95))
def test_against_the_definition(seed, models, classes, threshold):
    logits = np.random.default_rng(seed).normal(size=(models, 20, classes)) * 4
    p = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    frame = label_unlabelled(p, np.arange(20), threshold)
    for n in range(20):
        votes = {int(p[r, n].argmax()) for r in range(models)}
        hard = len(votes) == 1 and all(p[r, n].max() > threshold for r in range(models))
        assert frame["label"][n] == (votes.pop() if hard else -1)
        soft = frame.loc[n, [f"soft_{c}" for c in range(classes)]].to_numpy(float)
        np.testing.assert_allclose(soft, p[:, n].mean(axis=0), atol=1e-6)


def test_v_is_filled_with_images_of_each_class_that_leave_s_u():
    labels = [0] * 10 + [1] * 12 + [2] * 9 + [-1] * 4
    result = enlarged(labels, to=6)
    assert result["V"][:3] == SPLIT["V"]
    assert result["V_labels"][:3] == [0, 1, 2]
    assert result["V_is_pseudo"] == [False] * 3 + [True] * 15
    assert result["size_per_class"] == {"a": 6, "b": 6, "c": 6}
    for row, label in zip(result["V"][3:], result["V_labels"][3:], strict=True):
        assert labels[row // 10] == label
    taken = set(result["V"][3:])
    assert len(taken) == 15
    assert set(result["S_u_soft"]) == {10 * i for i in range(35)} - taken
    assert set(result["S_u_hard"]) == {10 * i for i in range(31)} - taken
    assert result["S_u_hard_labels"] == [labels[row // 10] for row in result["S_u_hard"]]
    assert result["shortfall"] == {}
    assert result["notes"] == []


def test_the_choice_is_random_and_seeded_and_not_by_confidence():
    labels = [0] * 50
    first = enlarged(labels, to=11)["V"]
    assert first == enlarged(labels, to=11)["V"]
    assert first != enlarged(labels, to=11, seed=1)["V"]
    assert first != enlarged(labels, to=11, split=SPLIT | {"draw": 1})["V"]
    images = [[[0.99, 0.01, 0.0]] * 3] * 10 + [[[0.81, 0.19, 0.0]] * 3] * 90
    predictions = labelled(*images)
    split = SPLIT | {"U": predictions["row"].tolist()}
    rows = enlarge(split, [0, 1, 2], predictions, to=11, seed=0)["V"][3:]
    assert len([row for row in rows if row < 100]) < 5


def test_too_few_are_all_taken_and_the_shortfall_is_noted():
    result = enlarged([0] * 2 + [1] * 9 + [-1] * 3, to=5)
    assert result["size_per_class"] == {"a": 3, "b": 5, "c": 1}
    assert result["shortfall"] == {"a": 2, "c": 4}
    assert result["notes"] == ["V has fewer than 5 images of some classes: a lacks 2, c lacks 4"]
    assert result["S_u_hard_labels"] == [1] * 5
    assert len(result["S_u_soft"]) == 5 + 3


def test_none_accepted_leaves_v_as_it_is_and_says_so():
    result = enlarged([-1] * 6, to=5)
    assert result["V"] == SPLIT["V"]
    assert result["V_is_pseudo"] == [False] * 3
    assert result["S_u_hard"] == result["S_u_hard_labels"] == []
    assert result["S_u_soft"] == [0, 10, 20, 30, 40, 50]
    assert result["shortfall"] == {"a": 4, "b": 4, "c": 4}
    (note,) = result["notes"]
    assert note.startswith("no pseudo-label accepted: V is not enlarged")


def test_a_v_that_is_large_enough_stays():
    result = enlarged([0, 1, 2], to=1)
    assert result["V"] == SPLIT["V"]
    assert result["S_u_hard"] == [0, 10, 20]
    assert result["notes"] == []


def test_predictions_of_another_split_are_refused():
    predictions = sure([0, 1, 2])
    for others in ([0, 10], [0, 10, 30], [0, 10, 20, 20]):
        with pytest.raises(ValueError, match="draw 0: the predictions are not those"):
            enlarge(SPLIT | {"U": others}, [0, 1, 2], predictions, to=5, seed=0)


def test_quality_counts_by_predicted_and_by_true_class():
    predictions = sure([0, 0, 1, 2, -1, -1])
    report = quality(predictions, np.array([0, 1, 1, 2, 0, 2]), CLASSES)
    assert report["classes"] == CLASSES
    assert report["accepted_per_class"] == [2, 1, 1]
    assert report["correct_per_class"] == [1, 1, 1]
    assert report["truth_per_class"] == [2, 2, 2]
    assert report["accepted_by_truth"] == [1, 2, 1]
    assert report["precision"] == 0.75
    assert report["coverage"] == pytest.approx(4 / 6)
    assert report["soft_accuracy"] == pytest.approx(4 / 6)


def test_quality_with_none_accepted_has_no_precision():
    report = quality(sure([-1, -1]), np.array([0, 1]), CLASSES)
    assert report["precision"] is None
    assert report["coverage"] == 0.0
    assert report["accepted_per_class"] == report["correct_per_class"] == [0, 0, 0]
