"""Figure: test accuracy of every method in every condition: who falls where a source is bad, and who does not."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradmix.results.accuracy import Summaries, columns_k, summaries
from gradmix.results.conditions import Condition, Part, listed_conditions, parts_of, plain_rows
from gradmix.results.figures.declaration import Drawing, FigureKind, Files
from gradmix.results.figures.style import line_look, message_figure, new_figure, styled
from gradmix.results.records import Method, has_videos, listed_metrics, read_metrics

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gradmix.config.experiment import Config


def _drawings(experiment: Config) -> list[Drawing]:
    if not experiment.conditions:
        return []
    rows = experiment.all_rows()
    files = {"metrics": Files("metrics", [row["name"] for row in rows])}
    return [Drawing(files, {"methods": rows, "conditions": listed_conditions(experiment)})]


FIGURE = FigureKind(
    section="overview",
    title="Test accuracy in every condition",
    caption="Points are means over draws of the few labels, bars one standard error; lines join a method's points. A "
    "method that learns from no source has the same point in every condition. Axes do not start at zero.",
    readers={"metrics": read_metrics},
    drawings=_drawings,
)

_ASIDE = 0.5
"""How far from its condition's place a point may stand, to both sides together: bars are kept apart."""

_PER_LINE = 3


@styled
def draw(
    metrics: pd.DataFrame, methods: Sequence[Method], conditions: Sequence[Condition]
) -> Figure:
    """Draw a panel per k, conditions side by side and a line per method: mean over draws ± standard error (%).

    Only k at which more than one condition was evaluated. A method of no condition has the same value in each.
    """
    metrics = listed_metrics(metrics, methods)
    parts = parts_of(metrics, methods, conditions)
    cells = [summaries(part.metrics) for part in parts]
    counts = [k for own in cells for k in columns_k(own)]
    ks = sorted({k for k in counts if counts.count(k) > 1})
    if not ks:
        return message_figure("No two conditions were evaluated at the same k.")
    evaluated = {key[0] for own in cells for key in own if key[1] in ks}
    shown = [row for row in plain_rows(methods) if row["name"] in evaluated]
    columns = min(len(ks), 2 if len(parts) < 5 else 1)  # titles need room
    lines = math.ceil(len(ks) / columns)
    # No wider than what can be read where a page shrinks it, so the legend stands below.
    figure = new_figure(7.6, 3.1 * lines + 0.19 * math.ceil(len(shown) / _PER_LINE) + 0.2)
    panels = list(figure.subplots(lines, columns, sharey=True, squeeze=False).flat)
    for panel, k in zip(panels, ks, strict=False):
        _panel(panel, parts, cells, shown, k, width=6.6 / columns)
        panel.set_title(f"k = {k}")
        panel.yaxis.set_tick_params(labelleft=True)
    for panel in panels[len(ks) :]:
        panel.set_visible(False)
    unit = " per frame" if has_videos(metrics) else ""
    figure.supylabel(f"test accuracy{unit} (%), mean ± standard error", fontsize=9)
    handles = [
        panels[0].plot([], [], label=row["title"], **_look(place))[0]
        for place, row in enumerate(shown)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=_PER_LINE, handlelength=3)
    return figure


def _look(place: int) -> Mapping[str, Any]:
    return line_look(place) | {"linewidth": 0.9}


def _panel(
    panel: Axes,
    parts: Sequence[Part],
    cells: Sequence[Summaries],
    shown: Sequence[Method],
    k: int,
    *,
    width: float,
) -> None:
    """Draw one k in `width` inches: conditions that were not evaluated at it are left out."""
    at_k = [i for i, own in enumerate(cells) if k in columns_k(own)]
    for place, row in enumerate(shown):
        points = [
            (x, cells[i][row["name"], k])
            for x, i in enumerate(at_k)
            if (row["name"], k) in cells[i]
        ]
        aside = _ASIDE * ((place + 0.5) / len(shown) - 0.5)
        panel.errorbar(
            [x + aside for x, _ in points],
            [cell.mean for _, cell in points],
            yerr=[cell.error or 0.0 for _, cell in points],
            capsize=2.5,
            elinewidth=1,
            **_look(place),
        )
    letters = max(8, int(width / len(at_k) / 0.07))
    titles = ["\n".join(textwrap.wrap(parts[i].title, letters)) for i in at_k]
    panel.set_xticks(range(len(at_k)), titles)
    panel.set_xlim(-0.5, len(at_k) - 0.5)
    panel.grid(axis="x", visible=False)
