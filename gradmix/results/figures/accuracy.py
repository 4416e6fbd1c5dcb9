"""Figure: test accuracy of every method at every k: each draw, the mean with its standard error, the paper's number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradmix.results.accuracy import by_draw, columns_k, summaries
from gradmix.results.figures.declaration import Drawing, FigureKind, Files
from gradmix.results.figures.style import message_figure, new_figure, styled
from gradmix.results.paper import PaperNumber, paper_numbers
from gradmix.results.records import Method, has_videos, listed_metrics, read_metrics

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURE = FigureKind(
    section="accuracy",
    title="Test accuracy of every method",
    caption="Dots are means over draws of the few labels, bars one standard error, thin strokes single draws; hollow "
    "diamonds, where there are any, are the paper's means. The axis does not start at zero.",
    readers={"metrics": read_metrics},
    drawings=lambda experiment: [
        Drawing(
            {"metrics": Files("metrics")},
            {"methods": experiment.rows(), "paper": experiment.paper_numbers},
        )
    ],
)

_DIAMOND: dict[str, Any] = {"markerfacecolor": "white", "color": "black", "markersize": 4.5}


@styled
def draw(metrics: pd.DataFrame, methods: Sequence[Method], *, paper: str | None = None) -> Figure:
    """Draw a panel per k, a row per method (in order, from above): dot and bar = mean ± standard error (%), small
    strokes = single draws, hollow diamond = the paper's number. With clips: above per frame, below per video.
    """
    metrics = listed_metrics(metrics, methods)
    columns = {"accuracy": "test accuracy (%)"}
    if has_videos(metrics):
        columns = {
            "accuracy": "test accuracy per frame (%)",
            "accuracy_per_video": "test accuracy per video (%)",
        }
    cells = summaries(metrics)
    shown = [method for method in methods if any(key[0] == method["name"] for key in cells)]
    if not shown:
        return message_figure("No method was evaluated.")
    ks = columns_k(cells)
    longest = max(len(method["title"]) for method in shown)
    # The legend needs about five inches, however few panels there are.
    width = max(6.2, 2.5 * len(ks) + 0.075 * longest + 0.4)
    height = (0.32 * len(shown) + 0.65) * len(columns) + 0.7
    figure = new_figure(width, height)
    grid = figure.subplots(len(columns), len(ks), sharey=True, sharex=True, squeeze=False)
    has_paper = False
    for panels, (column, label) in zip(grid, columns.items(), strict=True):
        numbers = paper_numbers(methods, paper, column)
        for panel, k in zip(panels, ks, strict=True):
            has_paper |= _panel(panel, metrics, shown, numbers, column, k)
            panel.set_title(f"k = {k}")
            panel.xaxis.set_tick_params(labelbottom=True)
        if len(columns) > 1:
            panels[len(ks) // 2].set_xlabel(label)
    grid[0][0].set_yticks(range(len(shown)), [method["title"] for method in shown])
    grid[0][0].set_ylim(len(shown) - 0.5, -0.6)
    if len(columns) == 1:
        figure.supxlabel(columns["accuracy"], fontsize=9)
    _legend(figure, grid[0][0], has_paper)
    return figure


def _panel(
    panel: Axes,
    metrics: pd.DataFrame,
    shown: Sequence[Method],
    numbers: Mapping[tuple[str, int], PaperNumber],
    column: str,
    k: int,
) -> bool:
    """Draw one k of one column of the metrics; whether a number of the paper is among it."""
    cells, draws = summaries(metrics, column), by_draw(metrics, column)
    has_paper = False
    for height, method in enumerate(shown):
        key = (method["name"], k)
        if key not in cells:
            continue
        values = list(draws[key].values())
        panel.plot(values, [height] * len(values), "|", color="#777777", markersize=9)
        error = cells[key].error or 0.0
        mean = cells[key].mean
        panel.errorbar(mean, height, xerr=error, fmt="o", color="black", capsize=3, elinewidth=1.4)
        if key in numbers:
            has_paper = True
            panel.plot(numbers[key][0], height - 0.3, "D", **_DIAMOND)
    panel.grid(axis="y", linewidth=0.4)
    return has_paper


def _legend(figure: Figure, panel: Axes, has_paper: bool) -> None:
    strokes = panel.plot([], [], "|", color="#777777", markersize=9)[0]
    dot = panel.errorbar([], [], xerr=[], fmt="o", color="black", capsize=3)
    handles: list[Any] = [dot, strokes]
    labels = ["mean ± standard error", "single draw"]
    if has_paper:
        handles.append(panel.plot([], [], "D", **_DIAMOND)[0])
        labels.append("paper's mean")
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
