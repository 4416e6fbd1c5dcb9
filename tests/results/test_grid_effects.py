"""The grid's analysis on the paper's own Table 2 and on grids whose effects are known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gradmix.results.figures.grid_heat_map import draw
from gradmix.results.grid_effects import (
    cube,
    effects,
    expected_maximum,
    grid_section,
    summary_rows,
    write_grid,
)

# Li et al. 2020, Table 2: beta = 5 ... 10 (rows), gamma = 0, 0.1 ... 0.8 (columns), k = 3.
PAPER = np.array(
    [
        [90.92, 90.96, 90.95, 90.58, 90.75, 90.75, 90.51, 90.63, 91.12],
        [90.41, 90.75, 89.95, 90.79, 90.59, 89.95, 90.58, 90.63, 90.56],
        [89.76, 90.44, 90.42, 90.94, 90.28, 90.40, 90.52, 90.70, 90.66],
        [90.05, 90.89, 90.93, 90.57, 90.77, 90.69, 89.99, 90.58, 90.71],
        [90.32, 90.70, 90.48, 90.94, 90.47, 90.92, 90.20, 90.23, 90.86],
        [90.52, 90.03, 89.67, 90.01, 89.84, 90.51, 91.45, 90.58, 90.70],
    ]
)


def frame_of(values_DBG, noise_on_h=0.0):
    random = np.random.default_rng(0)
    rows = [
        {
            "member": f"{b}-{g}",
            "beta": float(b + 5),
            "gamma": g / 10,
            "labels_per_class": 3,
            "draw": d,
            "hyper_validation_accuracy": value + noise_on_h * random.normal(),
            "hyper_validation_loss": 1.0,
            "accuracy": value,
        }
        for (d, b, g), value in np.ndenumerate(values_DBG)
    ]
    return pd.DataFrame(rows)


def test_the_papers_table_shows_no_effect():
    beta, gamma = effects(PAPER[None])
    assert (beta.name, beta.freedom) == ("β", (5, 40))
    assert beta.statistic == pytest.approx(1.5446, abs=1e-3)
    assert gamma.statistic == pytest.approx(0.8323, abs=1e-3)
    assert gamma.freedom == (8, 40)
    assert beta.permutation_p == pytest.approx(beta.p, abs=0.03)
    assert gamma.permutation_p == pytest.approx(gamma.p, abs=0.03)
    text = grid_section(frame_of(PAPER[None]))
    assert text.startswith("Neither β nor γ has a detectable effect")
    assert "The best of the 54 cells has 91.45 %" in text
    assert "91.36 % was to be expected" in text


def test_draws_are_blocks():
    """Large differences between draws must not hide an effect: against an analysis of the centred values by scipy."""
    random = np.random.default_rng(3)
    values = random.normal(size=(4, 3, 2))
    values += np.array([0.0, 100.0, -50.0, 7.0])[:, None, None]
    values[:, 1] += 3.0
    beta, gamma = effects(values)
    assert beta.p < 1e-3
    assert beta.permutation_p < 1e-3
    assert gamma.p > 0.05
    # With one level of gamma the design is blocks x treatments; paired t for two treatments is the square root of F.
    two = values[:, :2, :1]
    (only,) = effects(two)
    t = stats.ttest_rel(two[:, 0, 0], two[:, 1, 0])
    assert only.statistic == pytest.approx(t.statistic**2)
    assert only.p == pytest.approx(t.pvalue)


def test_null_grids_have_uniform_p_values():
    random = np.random.default_rng(5)
    p = [effects(random.normal(size=(3, 2, 3)))[0].p for _ in range(40)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_mean_selected_and_hindsight_by_hand():
    values = np.array([[[80.0, 90.0]], [[84.0, 82.0]]])  # 2 draws, 1 beta, 2 gammas
    frame = frame_of(values)
    # H prefers the second cell in the first draw only where its H says so.
    frame["hyper_validation_accuracy"] = [70.0, 60.0, 50.0, 65.0]
    rows = summary_rows(frame)
    means = [summary.mean for summary in rows.values()]
    assert means == [84.0, 81.0, 86.0]  # grid (85 + 83) / 2; selected 80 and 82; cell of gamma 0.1
    assert "γ = 0.1" in list(rows)[2]


def test_expected_maximum_against_simulation():
    simulated = np.random.default_rng(0).normal(size=(20000, 54)).max(axis=1).mean()
    assert expected_maximum(0.0, 1.0, 54) == pytest.approx(simulated, abs=0.02)


def test_an_incomplete_draw_does_not_count():
    frame = frame_of(np.random.default_rng(0).normal(size=(2, 2, 2)))
    assert cube(frame.iloc[:-1], "accuracy").shape == (1, 2, 2)
    with pytest.raises(ValueError, match="no draw has every member"):
        cube(frame.iloc[[0, 1, 2, 5, 6, 7]], "accuracy")


def test_tables_and_heat_map(tmp_path):
    frame = frame_of(PAPER[None] / 100, noise_on_h=0.001)
    frame.to_parquet(tmp_path / "metrics.parquet")
    write_grid([tmp_path / "metrics.parquet"], 3, tmp_path)
    text = (tmp_path / "table2-k3.md").read_text()
    assert "for reading only" in text
    assert "| β = 10 | 90.52 | 90.03 |" in text
    assert len(pd.read_csv(tmp_path / "table2-k3.csv")) == 54
    figure = draw(frame_of(PAPER[None]), labels_per_class=3)
    assert len(figure.axes[0].texts) == 54
    assert all(len(panel.patches) == 2 for panel in figure.axes)
