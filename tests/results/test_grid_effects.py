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
    beta, gamma, _ = effects(values)
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


def design(shape, *factors):
    """Columns of a model with the full interaction of each group of factors (0: draw, 1: beta, 2: gamma)."""
    index = np.indices(shape).reshape(3, -1).T
    groups = [np.unique(index[:, list(f)], axis=0, return_inverse=True)[1].ravel() for f in factors]
    return np.hstack([np.eye(group.max() + 1)[group] for group in groups])


def test_statistics_are_those_of_nested_least_squares_models():
    """F by comparing fitted models, which knows nothing of orthogonal parts."""
    values = np.random.default_rng(9).normal(size=(4, 3, 5)) + np.arange(3)[:, None] * 0.3
    y = values.ravel()

    def residual(*factors):
        columns = design(values.shape, *factors)
        return float(((y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]) ** 2).sum())

    error = residual((0,), (1, 2)) / (3 * 14)
    expected = {
        "β": (residual((0,), (2,)) - residual((0,), (1,), (2,))) / 2 / error,
        "γ": (residual((0,), (1,)) - residual((0,), (1,), (2,))) / 4 / error,
        "β × γ": (residual((0,), (1,), (2,)) - residual((0,), (1, 2))) / 8 / error,
    }
    found = effects(values)
    assert {effect.name: effect.statistic for effect in found} == pytest.approx(expected)
    assert [effect.freedom for effect in found] == [(2, 42), (4, 42), (8, 42)]
    for effect in found:
        assert effect.permutation_p == pytest.approx(effect.p, abs=0.05)


def test_an_interaction_alone_is_an_effect():
    """Each factor turns the other's effect round: no main effect, and yet neither is without effect."""
    crossed = np.outer([-1, 0, 1], [-1, 0, 0, 1])
    values = 90 + crossed + 0.5 * np.random.default_rng(2).normal(size=(5, 3, 4))
    beta, gamma, both = effects(values)
    assert min(beta.p, gamma.p) > 0.05
    assert max(both.p, both.permutation_p) < 1e-3
    assert grid_section(frame_of(values)).startswith("β × γ has an effect")


def test_main_effects_alone_are_no_interaction():
    values = np.add.outer([-2.0, 0.0, 2.0], [-2.0, 0.0, 0.0, 2.0])
    values = values + np.random.default_rng(4).normal(size=(5, 3, 4))
    beta, gamma, both = effects(values)
    assert max(beta.permutation_p, gamma.permutation_p) < 1e-3
    assert min(both.p, both.permutation_p) > 0.05


def test_permutation_p_values_of_the_interaction_are_uniform():
    random = np.random.default_rng(6)
    p = [effects(random.standard_t(3, size=(3, 2, 3)))[2].permutation_p for _ in range(40)]
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
