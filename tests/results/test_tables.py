import math
from csv import DictReader

import numpy as np
import pandas as pd
import pytest

from gradmix.results.experiment import read_experiment
from gradmix.results.layout import Cell, Table, mark_letter, render, write_csv
from gradmix.results.table_files import table_files
from gradmix.results.tables import write_tables

A = {"name": "a", "title": "A & b_1 | 50 %", "recipe": "target_only"}
GRADMIX = {"name": "gradmix", "title": "GradMix", "recipe": "gradmix"}


def csv(folder, name):
    return pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=[""])


def test_numbers_by_hand(empty_experiment, tmp_path):
    for draw, (a, gradmix) in enumerate([(0.70, 0.80), (0.72, 0.84), (0.80, 0.86)]):
        empty_experiment.metrics("a", 3, draw, a)
        empty_experiment.metrics("gradmix", 3, draw, gradmix)
    files = empty_experiment.files["metrics"]
    written = write_tables(read_experiment(files, [], [A, GRADMIX], paper="digits"), tmp_path / "t")
    assert sorted(path.name for path in written) == sorted(table_files())
    assert all(path.is_file() for path in written)
    table = csv(tmp_path / "t", "accuracy").set_index("method")
    # 70, 72, 80: mean 74, deviations -4, -2, 6: variance 56 / 2 = 28
    assert table.loc["a", "mean_percent"] == pytest.approx(74)
    assert table.loc["a", "standard_error_percent"] == pytest.approx(math.sqrt(28 / 3))
    assert table.loc["a", "draws"] == 3
    assert table.loc["a", "paper_mean_percent"] == 77.15
    assert table.loc["gradmix", "paper_standard_error_percent"] == 0.52
    # differences -10, -12, -6: mean -28/3, deviations -2/3, -8/3, 10/3: variance 168 / 9 / 2
    difference = csv(tmp_path / "t", "paired_differences").iloc[0]
    assert difference["difference_points"] == pytest.approx(-28 / 3)
    assert difference["standard_error_points"] == pytest.approx(math.sqrt(168 / 18 / 3))
    markdown = (tmp_path / "t/accuracy.md").read_text()
    assert r"| A \& b\_1 \| 50 % | 74.00 ± 3.06 | 77.15 ± 1.36 |" in markdown
    latex = (tmp_path / "t/accuracy.tex").read_text()
    assert r"A \& b\_1 \textbar{} 50 \% & 74.00 $\pm$ 3.06 & 77.15 $\pm$ 1.36 \\" in latex
    assert "−9.33 ± 1.76" in (tmp_path / "t/paired_differences.md").read_text()
    assert "73.00" in (tmp_path / "t/accuracy_statistics_on_V.md").read_text()


def test_paper_only_where_asked(experiment, tmp_path, methods):
    write_tables(
        read_experiment(experiment.files["metrics"], experiment.files["runs"], methods), tmp_path
    )
    assert "paper" not in (tmp_path / "accuracy.md").read_text().lower()
    assert csv(tmp_path, "accuracy")["paper_mean_percent"].isna().all()


def test_a_single_draw_has_no_error(empty_experiment, tmp_path):
    files = [
        empty_experiment.metrics("gradmix", 2, 0, 0.5),
        empty_experiment.metrics("a", 2, 0, 0.4),
    ]
    write_tables(read_experiment(files, [], [A, GRADMIX]), tmp_path)
    assert csv(tmp_path, "accuracy")["standard_error_percent"].isna().all()
    markdown = (tmp_path / "accuracy.md").read_text()
    assert "| 50.00 |" in markdown
    assert "one draw" in markdown
    assert "nan" not in "".join(p.read_text().lower() for p in tmp_path.glob("*.md"))
    assert "−10.00 | – |" in (tmp_path / "paired_differences.md").read_text()


def test_a_draw_missing_in_one_method(empty_experiment, tmp_path):
    for draw, value in enumerate([0.5, 0.6, 0.7]):
        empty_experiment.metrics("gradmix", 2, draw, value)
    for draw, value in enumerate([0.4, 0.5]):
        empty_experiment.metrics("a", 2, draw, value)
    empty_experiment.metrics("a", 5, 0, 0.9)
    files = empty_experiment.files["metrics"]
    write_tables(
        read_experiment(files, [], [A, GRADMIX, {"name": "x", "title": "X", "recipe": "x"}]),
        tmp_path,
    )
    markdown = (tmp_path / "accuracy.md").read_text()
    assert "45.00 ± 5.00 (n = 2) | 90.00 (n = 1) |" in markdown
    assert "60.00 ± 5.77 | – |" in markdown
    assert "X" not in markdown
    assert csv(tmp_path, "paired_differences")["common_draws"].tolist() == [2]


def test_marks(empty_experiment, tmp_path):
    for draw in (0, 1):
        note = f"class 7: {draw + 3} images short"
        empty_experiment.metrics("gradmix", 2, draw, 0.5, notes=[note])
        empty_experiment.metrics("a", 2, draw, 0.5)
    runs = [
        empty_experiment.run("a", 0, 1, notes=["trained without S_u"]),
        empty_experiment.run("gradmix", 2, 0, notes=["trained without S_u"]),
    ]
    write_tables(read_experiment(empty_experiment.files["metrics"], runs, [A, GRADMIX]), tmp_path)
    markdown = (tmp_path / "accuracy.md").read_text()
    assert "50.00 ± 0.00<sup>a</sup>" in markdown
    assert "50.00 ± 0.00<sup>a,b</sup>" in markdown
    assert (
        r"<sup>a</sup> trained without S\_u \[A \& b\_1 \| 50 %, k = 2, draw 1; GradMix" in markdown
    )
    assert "3 images short (numbers differ by run) \\[GradMix, k = 2, draws 0, 1\\]" in markdown
    assert r"$^{\mathrm{a,b}}$" in (tmp_path / "accuracy.tex").read_text()
    assert csv(tmp_path, "accuracy")["notes"].iloc[0] == "trained without S_u"


def test_a_run_made_under_h0_says_so_and_the_literal_row_need_not(empty_experiment, tmp_path):
    for method in ("gradmix", "a"):
        empty_experiment.metrics(method, 2, 0, 0.5)
    literal = {"gradmix": {"last_layer": "H0"}}
    runs = [
        empty_experiment.run("gradmix", 2, 0, settings=literal),
        empty_experiment.run("a", 2, 0, settings=literal, recipe="gradmix_literal"),
    ]
    write_tables(read_experiment(empty_experiment.files["metrics"], runs, [A, GRADMIX]), tmp_path)
    notes = csv(tmp_path, "accuracy").set_index("method")["notes"]
    assert notes["gradmix"].startswith("made under last_layer H0")
    assert notes.isna()["a"]


def test_seconds_are_those_of_all_settings_tried(empty_experiment, tmp_path):
    empty_experiment.metrics("a", 2, 0, 0.5)
    tried = [{"name": "x", "seconds": 2.0}, {"name": "y", "seconds": 3.5}]
    run = empty_experiment.run("a", 2, 0, seconds=3.5, candidates=tried)
    write_tables(read_experiment(empty_experiment.files["metrics"], [run], [A]), tmp_path)
    row = csv(tmp_path, "runs").iloc[0]
    assert (row["seconds"], row["tried"]) == (5.5, 2)


def test_sizes(experiment, tmp_path, methods):
    files = experiment.files
    sizes = {"split_files": files["splits"], "domain_files": files["domains"]}
    sizes["enlarged_files"] = files["enlarged"]
    write_tables(read_experiment(files["metrics"], files["runs"], methods, **sizes), tmp_path)
    table = csv(tmp_path, "data")
    images = table[(table["labels_per_class"] == 3) & (table["draw"] == 2)].set_index("set")[
        "images"
    ]
    expected = {"S1": 60, "S2": 58, "V": 15, "H": 10, "U": 15, "test": 15, "S_u_hard": 2}
    assert {name: images[name] for name in expected} == expected
    assert "58–60" in (tmp_path / "data.md").read_text()


def test_nothing_at_all(tmp_path):
    write_tables(read_experiment([], [], [GRADMIX]), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(table_files())


def test_escapes():
    table = Table("t", "50 % of $x_1", ("a\\b", "#2"), [[Cell("x|y\nz", ("a",)), Cell("−1 ~")]])
    assert r"| x\|y z<sup>a</sup> | −1 \~ |" in render(table, "md")
    latex = render(table, "tex")
    assert r"\caption{50 \% of \$x\_1}" in latex
    assert r"a\textbackslash{}b & \#2 \\" in latex
    assert r"x\textbar{}y z$^{\mathrm{a}}$ & $-$1 \textasciitilde{} \\" in latex
    nasty = Table("t", "<b>", ("'a'", "b"), [[Cell("&", ("a", "b")), Cell("1")]], [("a", "<i>")])
    page = render(nasty, "html")
    assert '<th scope="row" class="text">&amp;<sup>a,b</sup></th><td>1</td>' in page
    assert '<p class="footnote"><sup>a</sup> &lt;i&gt;</p>' in page
    assert "<b>" not in page
    assert "'a'" not in page


def test_a_cell_that_latex_would_take_for_the_argument_of_a_rows_end():
    table = Table("t", "c", ("a", "b"), [[Cell("[2cm] x"), Cell("1")], [Cell("* y"), Cell("2")]])
    assert [line for line in render(table, "tex").splitlines() if "{[}2cm]" in line]
    assert "{*} y & 2" in render(table, "tex")


@pytest.mark.parametrize("form", ["md", "tex", "html"])
def test_what_cannot_be_seen_and_turns_text_around_is_left_out(form):
    text = render(
        Table("t", "c", ("a\u202eb", "x\x00"), [[Cell("c\u200fd\u2066"), Cell("1")]]), form
    )
    assert not set("\u202e\u200f\u2066\x00") & set(text)
    assert "ab" in text
    assert "cd" in text


def test_no_cell_of_a_csv_is_a_formula(tmp_path):
    texts = ['=HYPERLINK("http://x","y")', "+1+1", "-a", "@SUM(A1)", "\t=x", "\n=x"]
    plain = ["a=b", "a\nb", "", "-1.5", "+3", "-inf", "−1"]
    frame = pd.DataFrame(
        {"text": [*texts, *plain, "\r=x"], "number": -0.1, "half": np.float32(-0.1), "whole": -3}
    )
    write_csv(tmp_path / "t.csv", frame)
    with open(tmp_path / "t.csv", newline="") as file:
        rows = list(DictReader(file))
    assert [row["text"] for row in rows] == [f"'{t}" for t in texts] + [*plain, "' =x"]
    assert {(row["number"], row["half"], row["whole"]) for row in rows} == {("-0.1", "-0.1", "-3")}


def test_letters():
    assert [mark_letter(i) for i in (0, 25, 26, 27, 52)] == ["a", "z", "aa", "ab", "ba"]
