"""Precision against coverage: a line per R, and nothing where nothing was accepted."""

import pandas as pd
import pytest

from gradmix.results.figures.pseudo_label_sweep import draw, read_sweeps


def sweep(precisions):
    return pd.DataFrame(
        {
            "models": [1, 1, 3, 3],
            "threshold": [0.5, 0.9, 0.5, 0.9],
            "accepted": [10, 5, 8, 0],
            "coverage": [1.0, 0.5, 0.8, 0.0],
            "precision": precisions,
            "labels_per_class": 3,
            "draw": 0,
        }
    )


def test_lines_hold_means_over_draws():
    frames = [
        sweep([0.8, 0.9, 0.9, float("nan")]),
        sweep([0.6, 0.9, 0.9, float("nan")]).assign(draw=1),
    ]
    panel = draw(pd.concat(frames)).axes[0]
    one, three = panel.get_lines()
    assert one.get_xdata().tolist() == pytest.approx([100, 50])
    assert one.get_ydata().tolist() == pytest.approx([70, 90])
    assert three.get_xdata().tolist() == pytest.approx([80])


def test_a_number_of_models_that_accepts_nothing_has_no_line():
    nothing = sweep([0.8, 0.9, float("nan"), float("nan")])
    assert [line.get_label() for line in draw(nothing).axes[0].get_lines()] == ["R = 1"]
    none = draw(sweep([float("nan")] * 4))
    assert "No image was accepted" in none.texts[0].get_text()


def test_paths_say_k_and_draw(tmp_path):
    file = tmp_path / "sweep/3/7.parquet"
    file.parent.mkdir(parents=True)
    sweep([0.8, 0.9, 0.9, 0.9]).drop(columns=["labels_per_class", "draw"]).to_parquet(file)
    sweeps = read_sweeps([file])
    assert set(sweeps["labels_per_class"]) == {3}
    assert set(sweeps["draw"]) == {7}
