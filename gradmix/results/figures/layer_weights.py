"""Figure: the weight of every source over training, layer by layer, for one method at one k."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from gradmix.results.figures.curves import over_draws
from gradmix.results.figures.style import line_look, new_figure, save, styled
from gradmix.results.records import read_curves, read_runs, runs_of


@styled
def draw(runs: Sequence[Mapping[str, Any]], *, method: str, labels_per_class: int) -> Figure:
    """Draw one panel per layer, one line per source: mean over draws of w (0 to 1, sources sum to 1), range as band.

    Raises `ValueError` if there is no run of `method` at this k, or if its curves have no weights.
    """
    chosen = runs_of(runs, method, labels_per_class)
    if not chosen:
        raise ValueError(
            f"layer weights: no run of {method} at labels_per_class {labels_per_class}"
        )
    first = chosen[0]
    layers, sources = list(first.get("layers") or []), list(first.get("sources") or [])
    if not layers or not sources:
        raise ValueError(f"{Path(first['folder']) / 'run.json'}: {method} mixes no gradients")
    needed = [f"weight/{layer}/{source}" for layer in layers for source in sources]
    curves = [read_curves(run, needed) for run in chosen]

    columns = min(len(layers), 3 if len(layers) <= 6 else 4)
    rows = math.ceil(len(layers) / columns)
    figure = new_figure(2.7 * columns + 0.4, 1.75 * rows + 1.0)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel, layer in zip(grid.flat, layers, strict=False):
        for position, source in enumerate(sources):
            curve = over_draws(curves, f"weight/{layer}/{source}")
            look = line_look(position)
            every = max(1, len(curve) // 6)
            panel.plot(curve["step"], curve["mean"], label=source, markevery=every, **look)
            panel.fill_between(
                curve["step"],
                curve["low"],
                curve["high"],
                color=look["color"],
                alpha=0.15,
                linewidth=0,
            )
        panel.set_title(layer)
        panel.set_ylim(-0.03, 1.03)
        panel.set_xlim(left=0)
    for panel in list(grid.flat)[len(layers) :]:
        panel.set_visible(False)
    # A panel above an empty place is the last of its column and carries the tick labels.
    for panel in list(grid.flat)[max(0, len(layers) - columns) : len(layers)]:
        panel.xaxis.set_tick_params(labelbottom=True)
    figure.supxlabel("training step (mini-batches)", fontsize=9)
    figure.supylabel("weight of the source (sum = 1)", fontsize=9)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=min(4, len(sources)), handlelength=4
    )
    return figure


def write(
    run_files: Iterable[str | Path], stem: str | Path, *, method: str, labels_per_class: int
) -> list[Path]:
    """Read run.json and curves.parquet of one mixing method's runs; write `stem`.svg, .png and .pdf."""
    return save(draw(read_runs(run_files), method=method, labels_per_class=labels_per_class), stem)
