"""Figure: loss on H over training, all methods at one k (the paper's Fig. 3): mean and range over draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradmix.results.figures.curves import draw_band, over_draws
from gradmix.results.figures.declaration import Drawing, FigureKind, Files
from gradmix.results.figures.style import line_look, new_figure, styled
from gradmix.results.records import Method, read_curves, read_runs, runs_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE = FigureKind(
    section="training",
    title="Loss on the hyper-validation set over training",
    caption="Lines are means over draws, bands run from the lowest to the highest draw. A line that falls and rises "
    "again over-fits: the checkpoint used is the one with the best accuracy on H, not the last.",
    readers={"runs": read_runs},
    drawings=lambda experiment: [
        Drawing({"runs": Files("runs")}, {"methods": experiment.rows()}, k)
        for k in experiment.labels_per_class
    ],
)


@styled
def draw(
    runs: Sequence[Mapping[str, Any]], methods: Sequence[Method], *, labels_per_class: int
) -> Figure:
    """Draw the mean over draws of each method's H loss (nats), with its range as a band.

    `runs` come from `read_runs`; those of this k and of k = 0 are drawn, in the order of `methods`.
    """
    figure = new_figure(8.4, 4.4)
    axes = figure.add_subplot()
    lowest = float("inf")
    for position, method in enumerate(methods):
        chosen = runs_of(runs, method["name"], labels_per_class)
        if not chosen:
            continue
        curve = over_draws(
            [read_curves(run, ["hyper_validation_loss"]) for run in chosen], "hyper_validation_loss"
        )
        if curve.empty:
            continue
        # Markers start at different places, so that lines on top of each other stay visible.
        draw_band(
            axes, curve, line_look(position),
            label=method["title"], markers=8, first=position, alpha=0.12,
        )  # fmt: skip
        lowest = min(lowest, curve["low"].min())
    if 0 < lowest < float("inf"):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.tick_params(axis="y", which="minor", labelsize=7)
    axes.set_xlim(left=0)
    axes.set_xlabel("training step (mini-batches)")
    axes.set_ylabel("cross-entropy on H (nats)")
    axes.set_title(f"Loss on the hyper-validation set, k = {labels_per_class}")
    if axes.has_data():
        figure.legend(loc="outside right upper", handlelength=4)
    return figure
