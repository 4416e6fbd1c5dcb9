"""Figure: loss on H over training, all methods at one k (the paper's Fig. 3): mean and range over draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from gradmix.results.figures.curves import over_draws
from gradmix.results.figures.style import line_look, new_figure, save, styled
from gradmix.results.records import Method, read_curves, read_runs, runs_of


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
        look = line_look(position)
        every = max(1, len(curve) // 8)
        # Markers start at different places, so that lines on top of each other stay visible.
        start = position % every
        axes.plot(
            curve["step"], curve["mean"], label=method["title"], markevery=(start, every), **look
        )
        axes.fill_between(
            curve["step"], curve["low"], curve["high"], color=look["color"], alpha=0.12, linewidth=0
        )
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


def write(
    run_files: Iterable[str | Path],
    methods: Sequence[Method],
    stem: str | Path,
    *,
    labels_per_class: int,
) -> list[Path]:
    """Read run.json and curves.parquet of the runs at this k and k = 0; write `stem`.svg, .png and .pdf."""
    return save(draw(read_runs(run_files), methods, labels_per_class=labels_per_class), stem)
