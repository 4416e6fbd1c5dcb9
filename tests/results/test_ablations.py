import csv
import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.lines import Line2D

from gradmix.results import ablations
from gradmix.results.figures import ablation, hyper_validation_loss_pair
from gradmix.results.records import read_curves, read_metrics, read_runs

ROWS = [
    {"name": "gradmix", "title": "GradMix", "recipe": "gradmix"},
    {"name": "gradmix_H1", "title": "H1", "recipe": "gradmix"},
    {"name": "gradmix_H2", "title": "H2", "recipe": "gradmix"},
]
# Differences to the first row at k = 3: 2.0, 2.2, 2.4 points (clear) and 1, 2, 3 (Student's interval holds zero).
K3 = {
    "gradmix": (0.80, 0.81, 0.82),
    "gradmix_H1": (0.82, 0.832, 0.844),
    "gradmix_H2": (0.81, 0.83, 0.85),
}


@pytest.fixture
def compared(empty_experiment):
    for method, accuracies in K3.items():
        for draw, accuracy in enumerate(accuracies):
            empty_experiment.metrics(method, 3, draw, accuracy)
            empty_experiment.metrics(method, 5, draw, accuracy + 0.05)
    return empty_experiment


def rows_of(table):
    return {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}


def test_means_and_paired_intervals_worked_out_by_hand(compared):
    metrics = read_metrics(compared.files["metrics"])
    table = ablations.ablation_table("heads", "Heads", metrics[metrics.labels_per_class == 3], ROWS)
    rows = rows_of(table)
    # SE of 80, 81, 82 is 1 / sqrt(3); the invented runs lose one point with V's statistics.
    assert rows["GradMix"] == ["81.00 ± 0.58", "–", "80.00 ± 0.58"]
    # t(2; 97.5 %) = 4.303: 2.2 ± 4.303 * 0.2 / sqrt(3), and 2 ± 4.303 / sqrt(3).
    assert rows["H1"][1] == "+2.20 [+1.70, +2.70]*"
    assert rows["H2"][1] == "+2.00 [−0.48, +4.48]"
    assert "3 draws" in table.caption


def test_one_draw_has_neither_error_nor_interval_nor_star(empty_experiment):
    for method, accuracies in K3.items():
        empty_experiment.metrics(method, 3, 0, accuracies[0])
    metrics = read_metrics(empty_experiment.files["metrics"])
    rows = rows_of(ablations.ablation_table("heads", "Heads", metrics, ROWS))
    assert rows["H1"] == ["82.00", "+2.00", "81.00"]
    assert ablations.ablation_sentence(metrics, ROWS) == (
        "No row can be separated from GradMix by these draws."
    )


def test_the_sentence_names_clear_rows_and_counts_the_others(compared):
    said = ablations.ablation_sentence(read_metrics(compared.files["metrics"]), ROWS)
    assert "H1 is above it at k = 3" in said
    assert "H1 is above it at k = 5" in said
    assert "H2 is" not in said
    assert "the other 2 comparisons are not clear" in said


def test_a_clear_loss_is_called_below(compared):
    rows = [ROWS[1], ROWS[0]]
    said = ablations.ablation_sentence(read_metrics(compared.files["metrics"]), rows)
    assert "GradMix is below it at k = 3 (−2.20 [−2.70, −1.70] points)" in said


def test_the_files_hold_every_draw_and_its_difference(compared, tmp_path):
    paths = ablations.write_ablation(
        "heads", "Heads", compared.files["metrics"], ROWS, tmp_path / "tables"
    )
    assert [path.name for path in paths] == [f"ablation-heads.{s}" for s in ("csv", "md", "tex")]
    rows = list(csv.DictReader(io.StringIO(paths[0].read_text())))
    assert len(rows) == 3 * 2 * 3
    one = next(
        row
        for row in rows
        if (row["method"], row["labels_per_class"], row["draw"]) == ("gradmix_H1", "5", "2")
    )
    assert float(one["accuracy_percent"]) == pytest.approx(89.4)
    assert float(one["minus_first_points"]) == pytest.approx(2.4)
    assert "H2" in paths[1].read_text()
    assert r"\toprule" in paths[2].read_text()


def test_a_draw_that_the_first_row_lacks_is_in_no_difference(compared, tmp_path):
    compared.metrics("gradmix_H1", 3, 7, 0.1)
    metrics = read_metrics(compared.files["metrics"])
    at_3 = metrics[metrics.labels_per_class == 3]
    assert rows_of(ablations.ablation_table("heads", "Heads", at_3, ROWS))["H1"][1].startswith(
        "+2.20 ["
    )
    file = ablations.write_ablation("heads", "Heads", compared.files["metrics"], ROWS, tmp_path)[0]
    frame = pd.read_csv(file)
    assert frame[frame.draw == 7]["minus_first_points"].isna().all()


def test_the_report_takes_only_the_k_of_an_ablation(compared):
    one = {"name": "heads", "title": "Heads", "labels_per_class": [5], "methods": ROWS}
    every = {"name": "all", "title": "All", "labels_per_class": [], "methods": ROWS}
    parts = ablations.ablation_parts([one, every], compared.files["metrics"])
    assert "k = 3" not in " ".join(parts[0]["table"].head)
    assert {"k = 3", "k = 5"} <= set(parts[1]["table"].head)


def lines(axes):
    """Lines with a name of their own, by it."""
    found = axes.get_legend_handles_labels()
    return dict(zip(found[1], found[0], strict=True))


def test_the_figure_over_k_shows_means_and_standard_errors(compared):
    figure = ablation.draw(read_metrics(compared.files["metrics"]), ROWS, title="Heads")
    (axes,) = figure.axes
    shown = lines(axes)
    assert set(shown) == {"GradMix", "H1", "H2"}
    data, _, (bars,) = shown["H2"].lines
    np.testing.assert_allclose(data.get_ydata().astype(float), [83.0, 88.0])
    np.testing.assert_allclose(data.get_xdata().astype(float).round(), [3, 5])
    low, high = bars.get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(2 / np.sqrt(3))


def test_the_figure_at_one_k_joins_the_points_of_a_draw(compared):
    metrics = read_metrics(compared.files["metrics"])
    figure = ablation.draw(metrics[metrics.labels_per_class == 3], ROWS, title="Heads")
    (axes,) = figure.axes
    joined = [
        sorted(line.get_xdata())
        for line in axes.findobj(Line2D)
        if line.get_color() == "#bbbbbb" and len(line.get_xdata()) == 3
    ]
    np.testing.assert_allclose(joined, [[80, 81, 82], [81, 83, 83.2], [82, 84.4, 85]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["GradMix", "H1", "H2"]


def test_an_ablation_without_records_says_so_in_its_figure(compared):
    other = [{"name": "absent", "title": "Absent", "recipe": "gradmix"}]
    figure = ablation.draw(read_metrics(compared.files["metrics"]), other, title="Heads")
    assert any("No method" in text.get_text() for text in figure.texts)


def test_the_loss_pair_has_a_panel_per_k_and_the_mean_over_draws(experiment, methods):
    two = [method for method in methods if method["name"] in ("source_only", "gradmix")]
    runs = read_runs(experiment.files["runs"])
    figure = hyper_validation_loss_pair.draw(runs, two, labels_per_class=(3, 5))
    assert [axes.get_title() for axes in figure.axes] == ["k = 3", "k = 5"]
    for axes, k in zip(figure.axes, (3, 5), strict=True):
        shown = lines(axes)
        assert set(shown) == {"Source only (sum)", "GradMix"}
        # A run without target labels is stored under k = 0 and stands in both panels.
        for title, name, at in (("GradMix", "gradmix", k), ("Source only (sum)", "source_only", 0)):
            curves = [
                read_curves(run)["hyper_validation_loss"].to_numpy()
                for run in runs
                if (run["method"], run["labels_per_class"]) == (name, at)
            ]
            assert len(curves) == 3
            np.testing.assert_allclose(shown[title].get_ydata(), np.mean(curves, axis=0))
