"""Figure: the rank of every method among all, draw by draw, at every k; methods from the best mean rank on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradmix.results.accuracy import by_draw, columns_k
from gradmix.results.figures.declaration import Drawing, FigureKind, Files
from gradmix.results.figures.style import message_figure, new_figure, styled
from gradmix.results.records import Method, has_videos, listed_metrics, read_metrics

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FIGURE = FigureKind(
    section="accuracy",
    title="Rank of every method, draw by draw",
    caption="Strokes are ranks in single draws (1 is the best accuracy on the test set; equal ones share their mean), "
    "dots their means, by which the methods are sorted. Ranks say in how many draws a method is ahead, not by how "
    "much.",
    readers={"metrics": read_metrics},
    drawings=lambda experiment: [
        Drawing({"metrics": Files("metrics")}, {"methods": experiment.rows()})
    ],
)


def ranks(metrics: pd.DataFrame, labels_per_class: int) -> pd.DataFrame:
    """Return draws (rows) by methods (columns) with the rank in each draw: 1 is best, equal ones share their mean.

    Only draws in which every method was evaluated count: a rank among others would mean something else.
    """
    import pandas as pd

    cells = {
        method: draws
        for (method, k), draws in by_draw(metrics, "accuracy").items()
        if k == labels_per_class
    }
    table = pd.DataFrame(cells).dropna().sort_index()
    return table.rank(axis=1, ascending=False, method="average")


@styled
def draw(metrics: pd.DataFrame, methods: Sequence[Method]) -> Figure:
    """Draw a panel per k: strokes are ranks in single draws, dots the means, methods by mean rank at this k."""
    metrics = listed_metrics(metrics, methods)
    titles = {method["name"]: method["title"] for method in methods}
    tables = {k: ranks(metrics, k) for k in columns_k(by_draw(metrics, "accuracy"))}
    tables = {k: table for k, table in tables.items() if len(table)}
    if not tables:
        return message_figure("No draw has all methods, so there are no ranks.")
    most = max(len(table.columns) for table in tables.values())
    longest = max(len(title) for title in titles.values())
    width = 2.4 + 0.075 * longest
    figure = new_figure(max(6.0, width * len(tables)), 0.24 * most + 1.2)
    panels = figure.subplots(1, len(tables), squeeze=False)[0]
    for panel, (k, table) in zip(panels, tables.items(), strict=True):
        order = table.mean().sort_values(kind="stable")
        for row, name in enumerate(order.index):
            panel.plot(table[name], [row] * len(table), "|", color="#777777", markersize=9)
            panel.plot(order[name], row, "o", color="black", markersize=5)
        panel.set_yticks(range(len(order)), [titles[name] for name in order.index])
        panel.set_ylim(len(order) - 0.5, -0.5)
        panel.set_xlim(0.4, len(order) + 0.6)
        panel.set_title(f"k = {k}, {len(table)} draw{'s' if len(table) != 1 else ''}")
        panel.grid(axis="y", linewidth=0.4)
    unit = " per frame" if has_videos(metrics) else ""
    figure.supxlabel(f"rank by test accuracy{unit} (1 is best)", fontsize=9)
    return figure
