"""Figure: loss on H of source-only and GradMix at two numbers of labels, side by side (the paper's Fig. 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradmix.results.figures.curves import draw_band, over_draws
from gradmix.results.figures.declaration import Drawing, FigureKind, Files
from gradmix.results.figures.style import line_look, new_figure, styled
from gradmix.results.records import Method, read_curves, read_runs, runs_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gradmix.config.experiment import Config

METHODS = ("source_only", "gradmix")
COLUMN = "hyper_validation_loss"


def _drawings(experiment: Config) -> list[Drawing]:
    ks = experiment.labels_per_class
    if len(ks) < 2 or not set(METHODS) <= set(experiment.methods):
        return []
    pair = [ks[0], ks[-1]]
    rows = [row for row in experiment.rows() if row["name"] in METHODS]
    files = {"runs": Files("runs", METHODS, pair)}
    return [Drawing(files, {"methods": rows, "labels_per_class": pair})]


FIGURE = FigureKind(
    section="training",
    title="Source only and GradMix: loss on H at the fewest and the most labels",
    caption="As the paper's Figure 3. Lines are means over draws, bands run from the lowest to the highest draw.",
    readers={"runs": read_runs},
    drawings=_drawings,
)


@styled
def draw(
    runs: Sequence[Mapping[str, Any]], methods: Sequence[Method], *, labels_per_class: Sequence[int]
) -> Figure:
    """Draw a panel per k with the mean over draws of each method's H loss (nats), and its range as a band."""
    figure = new_figure(7.6, 3.3)
    panels = figure.subplots(1, len(labels_per_class), sharey=True, sharex=True, squeeze=False)[0]
    for panel, k in zip(panels, labels_per_class, strict=True):
        for position, method in enumerate(methods):
            chosen = runs_of(runs, method["name"], k)
            if not chosen:
                continue
            curve = over_draws([read_curves(run, [COLUMN]) for run in chosen], COLUMN)
            draw_band(panel, curve, line_look(position), label=method["title"], markers=8)
        panel.set_title(f"k = {k}")
        panel.set_xlim(left=0)
    figure.supxlabel("training step (mini-batches)", fontsize=9)
    panels[0].set_ylabel("cross-entropy on H (nats)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, handlelength=3.5)
    return figure
