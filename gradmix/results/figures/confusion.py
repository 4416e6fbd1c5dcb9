"""Figure: confusion on the test set, one panel per method at one k, summed over draws.

Matrices, or, with more classes than a matrix of this size can show, the pairs of classes that are confused most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradmix.results.figures.confused_pairs import draw_pairs
from gradmix.results.figures.declaration import Drawing, FigureKind, Files
from gradmix.results.figures.style import hide_unused, message_figure, new_figure, styled
from gradmix.results.records import Method, read_metrics

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FIGURE = FigureKind(
    section="mistakes",
    title="Confusion on the test set",
    caption="Rows are true classes, columns predicted ones; numbers are the percentage of the true class's images, "
    "summed over draws. The diagonal is right, everything else a mistake. With more than 20 classes: the pairs that "
    "each method confuses most, as “true class → class that it was taken for”.",
    readers={"metrics": read_metrics},
    drawings=lambda experiment: [
        Drawing(
            {"metrics": Files("metrics")},
            {
                "methods": experiment.rows(),
                "classes": experiment.class_names(experiment.target.domain),
            },
            k,
        )
        for k in experiment.labels_per_class
    ],
)

_NUMBERED = 12  # with more classes the numbers in the cells could not be read
_MATRIX = 20  # with more classes cells and names could not be told apart


def summed_confusion(rows: pd.DataFrame) -> np.ndarray:
    """Return the (C, C) counts [true][predicted] summed over the draws of one method at one k.

    Raises `ValueError` naming the file whose matrix has another shape than the classes say.
    """
    total = None
    for file, classes, confusion in zip(
        rows["file"], rows["classes"], rows["confusion"], strict=True
    ):
        matrix = np.asarray(confusion)
        if matrix.shape != (len(classes), len(classes)) or (
            total is not None and matrix.shape != total.shape
        ):
            raise ValueError(
                f"{file}: a confusion of shape {matrix.shape} for {len(classes)} classes"
            )
        total = matrix if total is None else total + matrix
    assert total is not None
    return total


@styled
def draw(
    metrics: pd.DataFrame,
    methods: Sequence[Method],
    *,
    labels_per_class: int,
    classes: Sequence[str] | None = None,
) -> Figure:
    """Draw the share (%) of each true class's images (rows) given to each class (columns); the grey is the share.

    With more than 20 classes: the pairs of classes with the largest shares. `classes`: their names; None: those in
    the files.
    """
    metrics = metrics[metrics["labels_per_class"] == labels_per_class]
    shown = [method for method in methods if (metrics["method"] == method["name"]).any()]
    if not shown:
        return message_figure(f"No method was evaluated at k = {labels_per_class}.")
    classes = classes or metrics["classes"].iloc[0]
    if len(classes) > _MATRIX:
        parts = [(m["title"], metrics[metrics["method"] == m["name"]]) for m in shown]
        return draw_pairs([(title, summed_confusion(part), classes) for title, part in parts])
    columns = min(4, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(2.15 * columns + 0.9, 2.3 * rows + 0.35)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel, method in zip(grid.flat, shown, strict=False):
        chosen = metrics[metrics["method"] == method["name"]]
        counts = summed_confusion(chosen)
        share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        image = panel.imshow(share, cmap="Greys", vmin=0, vmax=100)
        panel.grid(False)
        panel.set_title(f"{method['title']}\n{100 * np.trace(counts) / max(counts.sum(), 1):.1f} %")
        ticks = range(len(classes))
        turn = {"rotation": 90} if max(map(len, classes)) > 3 else {}
        panel.set_xticks(ticks, classes, **turn)
        panel.set_yticks(ticks, classes)
        if len(classes) <= _NUMBERED:
            size = 8 if len(classes) <= 6 else 5.5
            for (true, predicted), value in np.ndenumerate(share):
                colour = "white" if value > 55 else "black"
                text = f"{value:.0f}" if value >= 0.5 or counts[true, predicted] == 0 else "<1"
                panel.text(
                    predicted, true, text, ha="center", va="center", fontsize=size, color=colour
                )
    hide_unused(list(grid.flat), len(shown), columns)
    figure.supxlabel("predicted class", fontsize=9)
    figure.supylabel("true class", fontsize=9)
    bar = figure.colorbar(image, ax=list(grid.flat), shrink=0.7, aspect=30)
    bar.set_label("images of the true class (%)")
    return figure
