"""Ranks of methods over draws, and the report's leading sentences, on numbers made up by hand."""

import pytest

from gradmix.results.figures.ranks import draw as draw_ranks
from gradmix.results.figures.ranks import ranks
from gradmix.results.reading import lead_sentences
from gradmix.results.records import read_metrics

ROWS = [
    {"name": "gradmix_hard", "title": "Hard labels", "recipe": "gradmix_hard"},
    {"name": "gradmix", "title": "GradMix", "recipe": "gradmix"},
    {"name": "target_only", "title": "Target only", "recipe": "target_only"},
]
VALUES = {
    "gradmix_hard": [0.90, 0.91, 0.92],
    "gradmix": [0.80, 0.815, 0.82],
    "target_only": [0.79, 0.83, 0.80],
}


@pytest.fixture
def files(empty_experiment):
    for method, values in VALUES.items():
        for draw, value in enumerate(values):
            empty_experiment.metrics(method, 3, draw, value)
    return empty_experiment.files["metrics"]


def test_ranks_by_hand(files, empty_experiment):
    table = ranks(read_metrics(files), 3)
    assert table["gradmix_hard"].tolist() == [1, 1, 1]
    assert table["gradmix"].tolist() == [2, 3, 2]
    empty_experiment.metrics("gradmix_hard", 3, 7, 0.5)
    empty_experiment.metrics("gradmix", 3, 7, 0.5)
    # Draw 7 lacks a method, so it has no ranks.
    assert ranks(read_metrics(empty_experiment.files["metrics"]), 3).index.tolist() == [0, 1, 2]


def test_equal_accuracies_share_a_rank(empty_experiment):
    for method, value in (("gradmix_hard", 0.9), ("gradmix", 0.9), ("target_only", 0.8)):
        empty_experiment.metrics(method, 3, 0, value)
    table = ranks(read_metrics(empty_experiment.files["metrics"]), 3)
    assert table.iloc[0].to_dict() == {"gradmix_hard": 1.5, "gradmix": 1.5, "target_only": 3}


def test_the_figure_has_every_method_best_mean_rank_first(files):
    figure = draw_ranks(read_metrics(files), ROWS)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["Hard labels", "GradMix", "Target only"]


def test_the_lead_says_what_is_not_told_apart(files):
    (sentence,) = lead_sentences(read_metrics(files), ROWS)
    assert "Hard labels has the highest mean accuracy (91.0 %)" in sentence
    assert "GradMix cannot be separated from Target only by 3 draws" in sentence
    assert (
        "Hard labels lies 9.8 points above GradMix (95 % interval +9.1 to +10.6, 3 draws)"
        in sentence
    )


def test_the_lead_concludes_nothing_from_one_draw(empty_experiment):
    for method, values in VALUES.items():
        empty_experiment.metrics(method, 3, 0, values[0])
    (sentence,) = lead_sentences(read_metrics(empty_experiment.files["metrics"]), ROWS)
    assert "in the one draw, which proves nothing" in sentence
