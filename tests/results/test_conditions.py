"""Two conditions, the second of which has fewer k and fewer methods, from numbers made up by hand."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from gradmix.results.conditions import titled_rows
from gradmix.results.experiment import read_experiment
from gradmix.results.figures import conditions as conditions_figure
from gradmix.results.figures import source_weights
from gradmix.results.figures.writer import write_figure
from gradmix.results.records import read_metrics, read_runs
from gradmix.results.report import write_report
from gradmix.results.table_files import table_files
from gradmix.results.tables import experiment_tables, write_tables
from gradmix.results.weights import mean_weights

CONDITIONS = [
    {"name": "clean", "title": "Clean", "sources": ["near", "far"], "labels_per_class": [2, 5]},
    {"name": "bad", "title": "Bad near", "sources": ["noise", "far"], "labels_per_class": [5]},
]


def row(method, condition, title):
    name = method if condition in ("", "clean") else f"{method}@{condition}"
    of = {"recipe": method, "method": method, "condition": condition}
    return {"name": name, "title": title, **of}


ROWS = [
    row("target_only", "", "Target only"),
    row("pooled", "clean", "Pooled"),
    row("gradmix", "clean", "GradMix"),
    row("mme", "clean", "MME"),
    row("pooled", "bad", "Pooled"),
    row("gradmix", "bad", "GradMix"),
]
# Three draws at k = 5; at k = 2 five points less, in the first condition only.
VALUES = {
    "target_only": (0.70, 0.71, 0.72),
    "pooled": (0.75, 0.86, 0.97),
    "gradmix": (0.73, 0.75, 0.77),  # 3, 4, 5 points above target only: t = 6.9, p = 0.02
    "mme": (0.71, 0.70, 0.74),
    "pooled@bad": (0.65, 0.759, 0.871),  # 10, 10.1 and 9.9 points lower
    "gradmix@bad": (0.73, 0.75, 0.77),
}
MIXING = ("gradmix", "gradmix@bad")


@pytest.fixture
def records(empty_experiment):
    for method, values in VALUES.items():
        for draw, value in enumerate(values):
            for k in (5,) if "@" in method else (2, 5):
                empty_experiment.metrics(method, k, draw, round(value - 0.05 * (k == 2), 4))
                sources = CONDITIONS["@" in method]["sources"] if method in MIXING else None
                tried = (
                    {"candidates": [{"seconds": 60.5}, {"seconds": 1.0}]} if method == "mme" else {}
                )
                empty_experiment.run(method, k, draw, sources=sources, **tried)
    return empty_experiment


def curve_files(records):
    return [file for file in records.files["runs"] if file.parent.name in MIXING]


def write(records, folder):
    files = records.files
    return write_tables(
        read_experiment(files["metrics"], files["runs"], ROWS, conditions=CONDITIONS),
        folder,
        curve_files=curve_files(records),
    )


def csv(folder, name):
    return pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=[""])


def tables_of(records):
    files = records.files
    experiment = read_experiment(files["metrics"], files["runs"], ROWS, conditions=CONDITIONS)
    return experiment_tables(experiment, ["pooled", "target_only"])


def cells(table):
    return {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}


def test_files(records, tmp_path):
    written = write(records, tmp_path / "t")
    assert {path.name for path in (tmp_path / "t").iterdir()} == {path.name for path in written}
    more = {path.name for path in written} - set(table_files())
    assert more == {"conditions.csv", "conditions.md", "conditions.tex", "weights.csv"}


def test_the_overview_has_conditions_side_by_side(records):
    (table,) = tables_of(records)["accuracy"]
    assert table.groups == (("", 1), ("Clean", 2), ("Bad near", 1), ("", 1))
    assert table.head == ("Method", "k = 2", "k = 5", "k = 5", "tried")
    assert cells(table) == {
        # Learns from no source, so its number stands in both, at the k that both have.
        "Target only": ["66.00 ± 0.58", "71.00 ± 0.58", "71.00 ± 0.58", "1"],
        "Pooled": ["81.00 ± 6.35", "86.00 ± 6.35", "76.00 ± 6.38", "1"],
        "GradMix": ["70.00 ± 1.15", "75.00 ± 1.15", "75.00 ± 1.15", "1"],
        "MME": ["66.67 ± 1.20", "71.67 ± 1.20", "–", "2"],
    }


def test_differences_and_their_families_are_a_conditions_own(records, tmp_path):
    write(records, tmp_path)
    found = csv(tmp_path, "paired_differences").query("labels_per_class == 5")
    found = found.set_index(["condition", "reference", "method"]).sort_index()
    cell = found.loc["bad", "pooled", "gradmix"]
    assert cell["difference_points"] == pytest.approx((8 - 0.9 - 10.1) / 3)
    assert ("bad", "pooled", "mme") not in found.index
    # The same differences to target only: of three rows p must not exceed 0.0167, of two 0.025.
    clean, bad = (found.loc[name, "target_only", "gradmix"] for name in ("clean", "bad"))
    assert clean["p"] == pytest.approx(bad["p"])
    assert bad["p"] == pytest.approx(0.0202, abs=1e-4)
    assert (clean["clear"], bad["clear"]) == (False, True)
    captions = [table.caption for table in tables_of(records)["paired_differences"]]
    assert [caption.split(", in")[0] for caption in captions] == [
        "Accuracy differences, Clean, at k = 2",
        "Accuracy differences, Clean, at k = 5",
        "Accuracy differences, Bad near, at k = 5",
    ]


def test_who_falls_where_a_source_is_bad(records, tmp_path):
    (table,) = tables_of(records)["conditions"]
    assert table.groups == (("", 1), ("Bad near", 1))
    # t(2; 97.5 %) = 4.303 standard errors of 0.1 / sqrt(3) to each side
    assert cells(table) == {
        "Pooled": ["−10.00 [−10.25, −9.75]*"],
        "GradMix": ["+0.00 [+0.00, +0.00]"],
    }
    write(records, tmp_path)
    found = csv(tmp_path, "conditions")
    assert found["method"].tolist() == ["pooled", "gradmix"]
    assert set(found["reference"]) == {"clean"}
    assert set(found["condition"]) == {"bad"}


def test_tidy_tables_name_method_and_condition(records, tmp_path):
    write(records, tmp_path)
    accuracy = csv(tmp_path, "accuracy").set_index(["condition", "method", "labels_per_class"])
    assert accuracy.loc[("bad", "pooled", 5), "mean_percent"] == pytest.approx(76)
    assert accuracy.loc[("bad", "target_only", 5), "mean_percent"] == pytest.approx(71)
    assert ("bad", "target_only", 2) not in accuracy.index
    runs = csv(tmp_path, "runs")
    assert len(runs) == 4 * 6 + 2 * 3
    own = runs.set_index(["method", "labels_per_class", "draw"])
    assert set(own.loc[("pooled", 5, 0), "condition"]) == {"clean", "bad"}
    assert runs.query("method == 'target_only'")["condition"].isna().all()
    assert set(runs["seconds"]) == {61.5}
    assert set(runs.query("method == 'mme'")["tried"]) == {2}


def test_a_run_stored_under_no_k_gives_its_seconds_to_all(empty_experiment, tmp_path):
    rows = [{"name": "source_only", "title": "Source only", "recipe": "source_only"}]
    for k in (2, 5):
        empty_experiment.metrics("source_only", k, 0, 0.5)
    empty_experiment.metrics("source_only", 5, 1, 0.5)
    runs = [empty_experiment.run("source_only", 0, 0, seconds=7.5)]
    write_tables(read_experiment(empty_experiment.files["metrics"], runs, rows), tmp_path)
    found = csv(tmp_path, "runs").set_index(["labels_per_class", "draw"])["seconds"]
    assert found.loc[2, 0] == found.loc[5, 0] == 7.5
    assert np.isnan(found.loc[5, 1])
    assert csv(tmp_path, "runs")["condition"].isna().all()
    assert not (tmp_path / "conditions.csv").exists()


def test_mean_weights_by_hand(records, tmp_path):
    file = records.run("gradmix@bad", 5, 0, sources=["noise", "far"], layers=["a", "b"])
    steps = [0, 100, 400]
    noise = [np.nan, 0.2, 0.6]
    columns = {f"weight/{layer}/noise": noise for layer in "ab"}
    columns["weight/b/noise"] = [np.nan, 0.4, 0.2]
    columns |= {f"weight/{layer}/far": [np.nan, 0.5, 0.9] for layer in "ab"}
    curves = file.parent / "curves.parquet"
    pd.DataFrame({"step": steps, **columns}).to_parquet(curves, index=False)
    found = mean_weights(read_runs([file]), ROWS).set_index("source")
    # The first row is of 100 steps, the second of 300, to which the second half (200 to 400) belongs.
    assert found.loc["noise", "mean_weight"] == pytest.approx((0.3 * 100 + 0.4 * 300) / 400)
    assert found.loc["noise", "mean_weight_second_half"] == pytest.approx(0.4)
    assert found.loc["far", "mean_weight"] == pytest.approx(0.8)
    assert (found["method"].unique(), found["condition"].unique()) == (["gradmix"], ["bad"])
    pd.DataFrame({"step": steps}).to_parquet(curves, index=False)
    with pytest.raises(ValueError, match=r"gradmix@bad/curves\.parquet: the record lacks weight/a"):
        mean_weights(read_runs([file]), ROWS)


def test_runs_that_weigh_no_layers_have_no_weights(records):
    runs = read_runs([file for file in records.files["runs"] if file.parent.name == "mme"])
    assert mean_weights(runs, ROWS).empty


def texts(figure):
    return {text.get_text() for text in figure.findobj(Text) if text.get_text()}


def test_a_source_that_one_draw_lacks_is_a_line_of_the_others(empty_experiment):
    files = [
        empty_experiment.run("gradmix", 5, draw, sources=["far", "S_u"][: draw + 1])
        for draw in (0, 1)
    ]
    rows, conditions = [row("gradmix", "clean", "GradMix")], CONDITIONS[:1]
    figure = source_weights.draw(read_runs(files), rows, conditions, labels_per_class=5)
    drawn = [line for line in figure.axes[0].lines if len(line.get_xdata())]
    assert len(drawn) == 2
    # The weights of a run sum to one, and one run has nothing but `far`.
    assert (drawn[0].get_ydata() + drawn[1].get_ydata()) == pytest.approx(1)


def test_figures(records, tmp_path):
    metrics, runs = records.files["metrics"], curve_files(records)
    for number in (1, 2):
        rows = {"methods": ROWS, "conditions": CONDITIONS}
        write_figure(
            conditions_figure.__name__, tmp_path / f"c{number}", {"metrics": metrics}, rows
        )
        rows = rows | {"labels_per_class": 5}
        write_figure(source_weights.__name__, tmp_path / f"w{number}", {"runs": runs}, rows)
    for name in "cw":
        assert (tmp_path / f"{name}1.svg").read_bytes() == (tmp_path / f"{name}2.svg").read_bytes()


def test_the_figure_of_conditions_has_a_point_per_method_and_condition(records):
    metrics = read_metrics(records.files["metrics"])
    (panel,) = conditions_figure.draw(metrics, ROWS, CONDITIONS).axes  # k = 2 is in one only
    assert panel.get_title() == "k = 5"
    assert [label.get_text() for label in panel.get_xticklabels()] == ["Clean", "Bad near"]
    means = [container.lines[0].get_ydata().astype(float) for container in panel.containers]
    for found, expected in zip(means, ([71, 71], [86, 76], [75, 75], [215 / 3]), strict=True):
        np.testing.assert_allclose(found, expected)
    alone = conditions_figure.draw(metrics, ROWS, CONDITIONS[:1])
    assert "No two conditions were evaluated at the same k." in texts(alone)


def test_the_figure_of_weights_names_sources_and_gaps(records):
    runs = read_runs(curve_files(records))
    figure = source_weights.draw(runs, ROWS, CONDITIONS, labels_per_class=5)
    assert {"Clean", "Bad near", "GradMix", "near", "far", "noise"} <= texts(figure)
    assert [panel.get_ylim()[0] for panel in figure.axes] == [0, 0]
    other = row("guided_sum", "bad", "Guided sum")
    run = records.run("guided_sum@bad", 5, 0, sources=["noise", "far"])
    figure = source_weights.draw(
        [*runs, *read_runs([run])], [*ROWS, other], CONDITIONS, labels_per_class=5
    )
    assert "not trained" in texts(figure)
    figure = source_weights.draw([], ROWS, CONDITIONS, labels_per_class=5)
    assert "No method at k = 5 mixes gradients layer by layer." in texts(figure)


def test_the_report_begins_with_the_conditions(records, tmp_path):
    files = records.files
    figure = conditions_figure.FIGURE
    rows = {"methods": ROWS, "conditions": CONDITIONS}
    write_figure(conditions_figure.__name__, tmp_path / "c", {"metrics": files["metrics"]}, rows)
    page = write_report(
        tmp_path / "report.html",
        read_experiment(files["metrics"], files["runs"], ROWS, conditions=CONDITIONS),
        title="Two conditions",
        configuration="",
        figures=[
            {
                "section": figure.section,
                "title": figure.title,
                "caption": figure.caption,
                "file": tmp_path / "c.svg",
            }
        ],
    ).read_text(encoding="utf-8")
    first, rest = page.split('<section id="transfer"')
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", first))
    for said in (
        "Sources: noise, far",
        "Clean, k = 5: Pooled has the highest mean accuracy (86.0 %); GradMix cannot be separated from Target "
        "only by 3 draws (difference +4.0 points, 95 % interval +1.5 to +6.5, which Holm&#39;s correction does not "
        "keep).",
        "Bad near, k = 5: Pooled has the highest mean accuracy (76.0 %); GradMix lies 4.0 points above Target only",
        "Bad near minus Clean, k = 5, points with Student&#39;s 95 % interval: clearly lower: Pooled −10.00 "
        "[−10.25, −9.75]; not clear: GradMix +0.00 [+0.00, +0.00].",
    ):
        assert said in plain, said
    assert "Test accuracy in every condition" in first
    assert first.count("data:image") == 1
    assert "everything is of the condition Clean" in rest
    assert "Pooled (Bad near)" in rest  # of its trainings


def test_titles_name_the_condition_where_there_are_several():
    titles = [row["title"] for row in titled_rows(ROWS, CONDITIONS)]
    assert titles[:2] == ["Target only", "Pooled (Clean)"]
    assert titles[-1] == "GradMix (Bad near)"
    assert titled_rows([{"name": "a", "title": "A", "recipe": "a"}], [])[0]["title"] == "A"
