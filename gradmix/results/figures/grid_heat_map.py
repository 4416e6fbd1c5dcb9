"""Figure: the grid of beta x gamma on H and, for reading only, on test (the paper's Table 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradmix.results.figures.declaration import Drawing, FigureKind, Files
from gradmix.results.figures.style import new_figure, styled
from gradmix.results.grid_effects import COLUMNS, read_grid

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FIGURE = FigureKind(
    section="ablations",
    title="The grid of β and γ",
    caption="Means over draws. Solid frame: the best cell on H; dashed frame: the best on test, which is hindsight and "
    "chose nothing. The tables (table2) say whether β or γ has any effect.",
    readers={"grid": read_grid},
    drawings=lambda experiment: [
        Drawing({"grid": Files("grid")}, k=k) for k in experiment.grid.evaluate_at
    ],
)


@styled
def draw(grid: pd.DataFrame, *, labels_per_class: int) -> Figure:
    """Draw mean accuracies over draws, %; a solid frame: the best cell on H, a dashed one: the best on test."""
    from matplotlib.patches import Rectangle

    wide = {
        column: grid.pivot_table(index="beta", columns="gamma", values=column, aggfunc="mean")
        for column in COLUMNS
    }
    rows, columns = next(iter(wide.values())).shape
    figure = new_figure(1.6 + 2 * max(2.4, 0.55 * columns), 1.6 + 0.42 * rows)
    panels = figure.subplots(1, 2, sharey=True)
    best = {
        column: np.unravel_index(np.argmax(w.to_numpy()), w.shape) for column, w in wide.items()
    }
    looks: dict[str, dict[str, Any]] = {
        "hyper_validation_accuracy": {"linestyle": "-"},
        "accuracy": {"linestyle": (0, (3, 2))},
    }
    for panel, (column, what) in zip(panels, COLUMNS.items(), strict=True):
        values = wide[column].to_numpy()
        low, high = values.min(), values.max()
        panel.imshow(
            values,
            cmap="Greys",
            vmin=low - 0.2 * (high - low),
            vmax=high + 0.6 * (high - low) + 1e-9,
            aspect="auto",
        )
        for (row, place), value in np.ndenumerate(values):
            panel.text(place, row, f"{value:.1f}", ha="center", va="center", fontsize=7.5)
        for name, (row, place) in best.items():
            inset = 0.45 if name == column else 0.38
            corner = (place - inset, row - inset)
            look: dict[str, Any] = {
                "fill": False,
                "edgecolor": "#d55e00",
                "linewidth": 1.6,
            } | looks[name]
            panel.add_patch(Rectangle(corner, 2 * inset, 2 * inset, **look))
        panel.grid(False)
        panel.set_title(what)
        panel.set_xticks(range(columns), [f"{gamma:g}" for gamma in wide[column].columns])
        panel.set_yticks(range(rows), [f"{beta:g}" for beta in wide[column].index])
        panel.set_xlabel("γ")
    panels[0].set_ylabel("β")
    draws = grid["draw"].nunique()
    figure.suptitle(
        f"k = {labels_per_class}, mean over {draws} draw{'s' if draws > 1 else ''} (%)",
        fontsize=9.5,
    )
    return figure
