"""Figure: how often accepted pseudo-labels are right, and how many images get one, per class and k.

With more classes than there is room for: the classes from the lowest value to the highest, and the names of the lowest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradmix.results.figures.confused_pairs import shortened
from gradmix.results.figures.declaration import Drawing, FigureKind, Files
from gradmix.results.figures.style import (
    COLOURS,
    MARKERS,
    line_look,
    message_figure,
    new_figure,
    styled,
)
from gradmix.results.quality import read_quality

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from gradmix.config.experiment import Config


def _drawings(experiment: Config) -> list[Drawing]:
    if not any(experiment.recipe(name).needs_pseudo_labels for name in experiment.methods):
        return []
    classes = experiment.class_names(experiment.target.domain)
    return [Drawing({"quality": Files("quality")}, {"classes": classes})]


FIGURE = FigureKind(
    section="pseudo_labels",
    title="Pseudo-labels: precision and coverage per class",
    caption="Precision: how many of the images accepted as a class are of that class. Coverage: how many of a class's "
    "images in U were accepted. Markers are means over draws, bars run from the lowest to the highest; with many "
    "classes, lines are means over draws from the class with the lowest to that with the highest. The truth was "
    "looked up after training, for this figure only.",
    readers={"quality": read_quality},
    drawings=_drawings,
)

_PANELS = {
    "precision": "precision (%)\nright among those accepted\nas the class",
    "coverage": "coverage (%)\naccepted among the\nclass's images in U",
}
_NAMED = 40  # more classes than that have no room for a name each
_LOWEST = 5


def _draw_sorted(quality: pd.DataFrame, ks: list[int]) -> Figure:
    """A panel per quantity, a line per k: means over draws of all classes, from the lowest to the highest."""
    figure = new_figure(8.6, 4.3)
    panels = figure.subplots(1, 2, sharey=True)
    named = ks if len(ks) <= 3 else [ks[0], ks[-1]]
    for panel, (quantity, label) in zip(panels, _PANELS.items(), strict=True):
        lowest = []
        for position, k in enumerate(ks):
            rows = quality[quality["labels_per_class"] == k]
            means = (100 * rows.set_index("class_name")[quantity]).groupby(level=0).mean()
            means = means.dropna().sort_values(kind="stable")
            look = line_look(position) | {"markersize": 2.5, "linewidth": 1}
            panel.plot(range(1, len(means) + 1), means, label=f"k = {k}", **look)
            names = [
                f"{shortened(str(name), 18)} {value:.0f}" for name, value in means[:_LOWEST].items()
            ]
            if k in named:
                lowest.append("\n  ".join([f"k = {k}, lowest:", *names]))
        panel.set_ylabel(label)
        panel.set_xlabel("class, from the lowest on\n")
        panel.set_ylim(0, 103)
        for position, text in enumerate(lowest):
            panel.text(
                *((position + 0.5) / len(lowest), -0.24, text),
                transform=panel.transAxes,
                ha="center",
                va="top",
                fontsize=6,
            )
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(ks))
    return figure


@styled
def draw(quality: pd.DataFrame, *, classes: Sequence[str] | None = None) -> Figure:
    """Draw precision (above) and coverage (below) per class, a marker per k: mean over draws, bar = range of draws.

    `quality` comes from `read_quality`. A class of which no image was accepted has no precision, and no marker.
    `classes`: their names; None: those in the files.
    """
    if quality.empty:
        return message_figure("No pseudo-labels in this experiment.")
    named = list(dict.fromkeys(quality["class_name"]))
    classes = list(classes or named)
    shown = dict(zip(named, classes, strict=True))
    quality = quality.assign(class_name=quality["class_name"].map(shown))
    ks = sorted(set(quality["labels_per_class"]))
    if len(classes) > _NAMED:
        return _draw_sorted(quality, ks)
    width = min(14.0, max(5.5, 0.22 * len(classes) * max(2, len(ks)) + 2.2))
    figure = new_figure(width, 4.6)
    panels = figure.subplots(2, 1, sharex=True)
    for panel, (quantity, label) in zip(panels, _PANELS.items(), strict=True):
        for position, labels_per_class in enumerate(ks):
            rows = quality[quality["labels_per_class"] == labels_per_class]
            grouped = (100 * rows.set_index("class_name")[quantity]).groupby(level=0)
            summary = grouped.agg(["mean", "min", "max"]).reindex(classes)
            shift = (position - (len(ks) - 1) / 2) * 0.7 / len(ks)
            middle = summary["mean"].to_numpy()
            ends = np.stack([middle - summary["min"], summary["max"] - middle])
            panel.errorbar(
                np.arange(len(classes)) + shift,
                middle,
                yerr=np.maximum(ends, 0),  # rounding may put the mean outside the range
                fmt=MARKERS[position % len(MARKERS)],
                color=COLOURS[position % len(COLOURS)],
                capsize=2.5,
                elinewidth=1,
                label=f"k = {labels_per_class}",
            )
        panel.set_ylabel(label)
        panel.set_ylim(top=103)  # whole markers at 100 %
        panel.grid(axis="x", visible=False)
    for boundary in np.arange(1, len(classes)) - 0.5:
        for panel in panels:
            panel.axvline(boundary, color="#e5e5e5", linewidth=0.8)
    turn = {"rotation": 90} if len(classes) > 12 or max(map(len, classes)) > 8 else {}
    panels[1].set_xticks(range(len(classes)), classes, **turn)
    panels[1].set_xlabel("class (precision: as predicted; coverage: true)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(ks))
    return figure
