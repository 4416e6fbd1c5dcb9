"""Figure: one ablation, accuracy against k (the paper's Fig. 4 for the number of models), or draw by draw at one k."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradmix.results.accuracy import Summaries, by_draw, columns_k, summaries
from gradmix.results.figures.declaration import Drawing, FigureKind, Files
from gradmix.results.figures.style import line_look, message_figure, new_figure, styled
from gradmix.results.records import Method, listed_metrics, read_metrics

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FIGURE = FigureKind(
    section="ablations",
    title="Ablations",
    caption="With several k: means over draws of the few labels and one standard error, side by side. With one: dots "
    "are means with one standard error, strokes single draws, those of one draw joined. Axes do not start at zero.",
    readers={"metrics": read_metrics},
    drawings=lambda experiment: [
        Drawing(
            {"metrics": Files("metrics", list(one.methods), one.labels_per_class or None)},
            {"methods": experiment.rows(name), "title": one.title},
            name=name,
            title=one.title,
        )
        for name, one in experiment.ablations.items()
    ],
)


@styled
def draw(metrics: pd.DataFrame, methods: Sequence[Method], *, title: str) -> Figure:
    """Draw a line per method over k with standard errors; with one k, each draw's points joined over the methods."""
    metrics = listed_metrics(metrics, methods)
    cells = summaries(metrics)
    shown = [method for method in methods if any(key[0] == method["name"] for key in cells)]
    if not shown:
        return message_figure("No method of this ablation was evaluated.")
    ks = columns_k(cells)
    return _lines(cells, shown, ks, title) if len(ks) > 1 else _draws(metrics, shown, ks[0], title)


def _lines(cells: Summaries, methods: Sequence[Method], ks: Sequence[int], title: str) -> Figure:
    figure = new_figure(6.6, 3.8)
    axes = figure.add_subplot()
    for position, method in enumerate(methods):
        evaluated = [k for k in ks if (method["name"], k) in cells]
        values = [cells[method["name"], k] for k in evaluated]
        # A small step aside keeps error bars of neighbours apart.
        aside = [k + 0.04 * (position - (len(methods) - 1) / 2) for k in evaluated]
        axes.errorbar(
            aside,
            [value.mean for value in values],
            yerr=[value.error or 0.0 for value in values],
            capsize=2.5,
            elinewidth=1,
            label=method["title"],
            **line_look(position),
        )
    axes.set_xticks(ks)
    axes.set_xlabel("k, labelled target images per class")
    axes.set_ylabel("test accuracy (%)")
    axes.set_title(title, loc="left")
    figure.legend(loc="outside right upper", handlelength=3.5)
    return figure


def _draws(metrics: pd.DataFrame, methods: Sequence[Method], k: int, title: str) -> Figure:
    figure = new_figure(6.6, 0.42 * len(methods) + 1.5)
    axes = figure.add_subplot()
    values = by_draw(metrics, "accuracy")
    draws = sorted({draw for cell in values.values() for draw in cell})
    for draw_ in draws:
        points = [
            (values[method["name"], k][draw_], row)
            for row, method in enumerate(methods)
            if draw_ in values.get((method["name"], k), {})
        ]
        axes.plot(*zip(*points, strict=True), "-", color="#bbbbbb", linewidth=0.9, zorder=1)
        axes.plot(*zip(*points, strict=True), "|", color="#777777", markersize=9, zorder=2)
    cells = summaries(metrics)
    for row, method in enumerate(methods):
        cell = cells.get((method["name"], k))
        if cell:
            axes.errorbar(
                cell.mean, row, xerr=cell.error or 0.0, fmt="o", color="black", capsize=3, zorder=3
            )
    axes.set_yticks(range(len(methods)), [method["title"] for method in methods])
    axes.set_ylim(len(methods) - 0.5, -0.6)
    axes.set_xlabel(f"test accuracy (%), k = {k}; strokes of one draw are joined")
    figure.suptitle(title, fontsize=9.5, fontweight="bold")
    return figure
