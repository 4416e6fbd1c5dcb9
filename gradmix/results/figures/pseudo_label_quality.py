"""Figure: how often accepted pseudo-labels are right, and how many images get one, per class and k."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gradmix.results.figures.style import COLOURS, MARKERS, message_figure, new_figure, save, styled
from gradmix.results.quality import read_quality

_PANELS = {
    "precision": "precision (%)\nright among those accepted\nas the class",
    "coverage": "coverage (%)\naccepted among the\nclass's images in U",
}


@styled
def draw(quality: pd.DataFrame) -> Figure:
    """Draw precision (above) and coverage (below) per class, a marker per k: mean over draws, bar = range of draws.

    `quality` comes from `read_quality`. A class of which no image was accepted has no precision, and no marker.
    """
    if quality.empty:
        return message_figure("No pseudo-labels in this experiment.")
    classes = list(dict.fromkeys(quality["class_name"]))
    ks = sorted(set(quality["labels_per_class"]))
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


def write(quality_files: Iterable[str | Path], stem: str | Path) -> list[Path]:
    """Read quality.json of all k and draws; write `stem`.svg, .png and .pdf."""
    return save(draw(read_quality(quality_files)), stem)
