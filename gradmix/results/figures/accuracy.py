"""Figure: test accuracy of every method at every k: each draw, the mean with its standard error, the paper's number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from gradmix.results.accuracy import by_draw, columns_k, summaries
from gradmix.results.figures.style import message_figure, new_figure, save, styled
from gradmix.results.paper import paper_numbers
from gradmix.results.records import Method, listed_metrics, read_metrics


@styled
def draw(metrics: pd.DataFrame, methods: Sequence[Method], *, paper: str | None = None) -> Figure:
    """Draw a panel per k, a row per method (in order, from above): dot and bar = mean ± standard error (%), small
    strokes = single draws, hollow diamond = the paper's number.
    """
    metrics = listed_metrics(metrics, methods)
    cells, draws = summaries(metrics), by_draw(metrics, "accuracy")
    shown = [method for method in methods if any(key[0] == method["name"] for key in cells)]
    if not shown:
        return message_figure("No method was evaluated.")
    numbers = paper_numbers(methods, paper)
    ks = columns_k(cells)
    longest = max(len(method["title"]) for method in shown)
    # The legend needs about five inches, however few panels there are.
    figure = new_figure(max(6.2, 2.5 * len(ks) + 0.075 * longest + 0.4), 0.32 * len(shown) + 1.35)
    panels = figure.subplots(1, len(ks), sharey=True, sharex=True, squeeze=False)[0]
    has_paper = False
    for panel, labels_per_class in zip(panels, ks, strict=True):
        for height, method in enumerate(shown):
            key = (method["name"], labels_per_class)
            if key in cells:
                values = list(draws[key].values())
                panel.plot(values, [height] * len(values), "|", color="#777777", markersize=9)
                error = cells[key].error or 0.0
                panel.errorbar(
                    cells[key].mean,
                    height,
                    xerr=error,
                    fmt="o",
                    color="black",
                    capsize=3,
                    elinewidth=1.4,
                )
            if key in numbers and key in cells:
                has_paper = True
                panel.plot(
                    numbers[key][0],
                    height - 0.3,
                    "D",
                    markerfacecolor="white",
                    color="black",
                    markersize=4.5,
                )
        panel.set_title(f"k = {labels_per_class}")
        panel.grid(axis="y", linewidth=0.4)
    panels[0].set_yticks(range(len(shown)), [method["title"] for method in shown])
    panels[0].set_ylim(len(shown) - 0.5, -0.6)
    figure.supxlabel("test accuracy (%)", fontsize=9)
    strokes = panels[0].plot([], [], "|", color="#777777", markersize=9)[0]
    dot = panels[0].errorbar([], [], xerr=[], fmt="o", color="black", capsize=3)
    handles, labels = [dot, strokes], ["mean ± standard error", "single draw"]
    if has_paper:
        diamond = panels[0].plot(
            [], [], "D", markerfacecolor="white", color="black", markersize=4.5
        )
        handles, labels = [*handles, diamond[0]], [*labels, "paper's mean"]
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


def write(
    metric_files: Iterable[str | Path],
    methods: Sequence[Method],
    stem: str | Path,
    *,
    paper: str | None = None,
) -> list[Path]:
    """Read metrics.json of all methods, k and draws; write `stem`.svg, .png and .pdf."""
    return save(draw(read_metrics(metric_files), methods, paper=paper), stem)
