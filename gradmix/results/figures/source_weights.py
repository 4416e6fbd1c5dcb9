"""Figure: which sources the mixing methods follow, over training and in every condition, at one k."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradmix.results.conditions import Condition, listed_conditions, part_rows, plain_rows
from gradmix.results.figures.curves import draw_band, over_draws
from gradmix.results.figures.declaration import Drawing, FigureKind, Files, mixing_rows
from gradmix.results.figures.style import line_look, message_figure, new_figure, styled
from gradmix.results.records import Method, read_runs, runs_of
from gradmix.results.weights import layer_means

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gradmix.config.experiment import Config


def _drawings(experiment: Config) -> list[Drawing]:
    mixing = mixing_rows(experiment)
    if not experiment.conditions or not mixing:
        return []
    rows = {"methods": experiment.all_rows(), "conditions": listed_conditions(experiment)}
    return [Drawing({"runs": Files("runs", mixing)}, rows, k) for k in experiment.labels_per_class]


FIGURE = FigureKind(
    section="conditions",
    title="Weight of each source over training",
    caption="A row per mixing method, a column per condition. Lines are means over the shared layers, over draws and "
    "over the steps between two evaluations; bands run from the lowest to the highest draw. A source at 0 is left out.",
    readers={"runs": read_runs},
    drawings=_drawings,
)

Curves = dict[tuple[str, str], list["pd.DataFrame"]]


@styled
def draw(
    runs: Sequence[Mapping[str, Any]],
    methods: Sequence[Method],
    conditions: Sequence[Condition],
    *,
    labels_per_class: int,
) -> Figure:
    """Draw a row per mixing method, a column per condition and a line per source: the weight's mean over the shared
    layers and over draws, the range of draws as a band.
    """
    curves = _curves(runs, methods, conditions, labels_per_class)
    if not curves:
        return message_figure(
            f"No method at k = {labels_per_class} mixes gradients layer by layer."
        )
    rows = [row for row in plain_rows(methods) if any(key[0] == row["name"] for key in curves)]
    columns = [one for one in conditions if any(key[1] == one["name"] for key in curves)]
    sources = list(dict.fromkeys(s for draws in curves.values() for c in draws for s in c.columns))
    figure = new_figure(max(6.2, 1.9 * len(columns) + 0.9), 1.5 * len(rows) + 1.2)
    grid = figure.subplots(len(rows), len(columns), sharex="row", sharey=True, squeeze=False)
    looks = {source: line_look(place) for place, source in enumerate(sources)}
    for panels, row in zip(grid, rows, strict=True):
        panels[0].set_ylabel("\n".join(textwrap.wrap(row["title"], 18)))
        for panel, condition in zip(panels, columns, strict=True):
            _panel(panel, curves.get((row["name"], condition["name"]), []), looks)
    for panel, condition in zip(grid[0], columns, strict=True):
        panel.set_title("\n".join(textwrap.wrap(condition["title"], 22)))
    grid[0][0].set_ylim(bottom=0)
    figure.supxlabel("training step (mini-batches)", fontsize=9)
    figure.supylabel("weight of the source, mean over shared layers", fontsize=9)
    handles = [grid[0][0].plot([], [], label=source, **look)[0] for source, look in looks.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(sources)))
    return figure


def _curves(
    runs: Sequence[Mapping[str, Any]],
    methods: Sequence[Method],
    conditions: Sequence[Condition],
    labels_per_class: int,
) -> Curves:
    """The weights of every draw by plain method and condition; a row of no condition stands in each."""
    curves: Curves = {}
    for condition in conditions:
        for row in part_rows(methods, condition["name"]):
            own = [layer_means(run) for run in runs_of(runs, row["run"], labels_per_class)]
            own = [weights for weights in own if len(weights)]
            if own:
                curves[row["name"], condition["name"]] = own
    return curves


def _panel(
    panel: Axes, draws: Sequence[pd.DataFrame], looks: Mapping[str, Mapping[str, Any]]
) -> None:
    """Draw a line with its band for every source that the runs mixed."""
    if not draws:
        panel.text(0.5, 0.5, "not trained", ha="center", va="center", transform=panel.transAxes)
        return
    from matplotlib.ticker import MaxNLocator

    sources = list(dict.fromkeys(source for weights in draws for source in weights.columns))
    # What one draw mixed and another had not weighs nothing there.
    tables = [weights.reindex(columns=sources, fill_value=0.0).reset_index() for weights in draws]
    for source in sources:
        draw_band(panel, over_draws(tables, source), looks[source])
    panel.set_xlim(left=0)
    panel.xaxis.set_major_locator(MaxNLocator(4))
