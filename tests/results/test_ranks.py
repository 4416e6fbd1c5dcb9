"""Ranks of methods over draws, and the report's leading sentences, on numbers made up by hand."""

import pytest

from gradmix.results.figures.ranks import draw as draw_ranks
from gradmix.results.figures.ranks import ranks
from gradmix.results.reading import lead_sentences
from gradmix.results.records import read_metrics

ROWS = [
    {"name": "pooled", "title": "Pooled", "recipe": "pooled"},
    {"name": "gradmix", "title": "GradMix", "recipe": "gradmix"},
    {"name": "source_only", "title": "Source only", "recipe": "source_only"},
]
VALUES = {
    "pooled": [0.90, 0.91, 0.92],
    "gradmix": [0.80, 0.815, 0.82],
    "source_only": [0.79, 0.83, 0.80],
}


@pytest.fixture
def files(empty_experiment):
    for method, values in VALUES.items():
        for draw, value in enumerate(values):
            empty_experiment.metrics(method, 3, draw, value)
    return empty_experiment.files["metrics"]


def test_ranks_by_hand(files, empty_experiment):
    table = ranks(read_metrics(files), 3)
    assert table["pooled"].tolist() == [1, 1, 1]
    assert table["gradmix"].tolist() == [2, 3, 2]
    empty_experiment.metrics("pooled", 3, 7, 0.5)
    empty_experiment.metrics("gradmix", 3, 7, 0.5)
    # Draw 7 lacks a method, so it has no ranks.
    assert ranks(read_metrics(empty_experiment.files["metrics"]), 3).index.tolist() == [0, 1, 2]


def test_equal_accuracies_share_a_rank(empty_experiment):
    for method, value in (("pooled", 0.9), ("gradmix", 0.9), ("source_only", 0.8)):
        empty_experiment.metrics(method, 3, 0, value)
    table = ranks(read_metrics(empty_experiment.files["metrics"]), 3)
    assert table.iloc[0].to_dict() == {"pooled": 1.5, "gradmix": 1.5, "source_only": 3}


def test_the_figure_has_every_method_best_mean_rank_first(files):
    figure = draw_ranks(read_metrics(files), ROWS)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["Pooled", "GradMix", "Source only"]


def test_the_lead_says_what_is_not_told_apart(files):
    (sentence,) = lead_sentences(read_metrics(files), ROWS)
    assert "Pooled has the highest mean accuracy (91.0 %)" in sentence
    assert "GradMix is not told from Source only by 3 draws" in sentence
    assert "GradMix lies 9.8 points below Pooled (95 % interval −10.6 to −9.1, 3 draws)" in sentence


def test_the_lead_concludes_nothing_from_one_draw(empty_experiment):
    for method, values in VALUES.items():
        empty_experiment.metrics(method, 3, 0, values[0])
    (sentence,) = lead_sentences(read_metrics(empty_experiment.files["metrics"]), ROWS)
    assert "in the one draw, which proves nothing" in sentence
