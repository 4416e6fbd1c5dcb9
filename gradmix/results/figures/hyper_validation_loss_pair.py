"""Figure: loss on H of source-only and GradMix at two numbers of labels, side by side (the paper's Fig. 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from gradmix.results.figures.curves import over_draws
from gradmix.results.figures.style import line_look, new_figure, save, styled
from gradmix.results.records import Method, read_curves, read_runs, runs_of

COLUMN = "hyper_validation_loss"


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
            look = {**line_look(position), "markevery": max(1, len(curve) // 8)}
            panel.plot(curve["step"], curve["mean"], label=method["title"], **look)
            panel.fill_between(
                curve["step"],
                curve["low"],
                curve["high"],
                color=look["color"],
                alpha=0.15,
                linewidth=0,
            )
        panel.set_title(f"k = {k}")
        panel.set_xlim(left=0)
    figure.supxlabel("training step (mini-batches)", fontsize=9)
    panels[0].set_ylabel("cross-entropy on H (nats)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, handlelength=3.5)
    return figure


def write(
    run_files: Iterable[str | Path],
    methods: Sequence[Method],
    stem: str | Path,
    *,
    labels_per_class: Sequence[int],
) -> list[Path]:
    """Read run.json and curves.parquet of the runs; write `stem`.svg, .png and .pdf."""
    return save(draw(read_runs(run_files), methods, labels_per_class=labels_per_class), stem)
