"""Figure: the weight of every source over training, layer by layer, for one method at one k."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradmix.results.conditions import listed_conditions, titled_rows
from gradmix.results.figures.curves import draw_band, over_draws
from gradmix.results.figures.declaration import Drawing, FigureKind, Files, mixing_methods
from gradmix.results.figures.style import hide_unused, line_look, new_figure, styled
from gradmix.results.records import read_curves, read_runs, runs_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from gradmix.config.experiment import Config


def _drawings(experiment: Config) -> list[Drawing]:
    rows = titled_rows(experiment.all_rows(), listed_conditions(experiment))
    titles = {row["name"]: row["title"] for row in rows}
    return [
        Drawing({"runs": Files("runs", [method])}, {"method": method}, k, method, titles[method])
        for k in experiment.labels_per_class
        for method in mixing_methods(experiment)
    ]


FIGURE = FigureKind(
    section="training",
    title="Weight of each source, layer by layer",
    caption="One panel per layer, from the input on. The weights of a layer sum to one: a source at 0 is left out, one "
    "at 1 is the only one followed. Lines are means over draws and over the steps between two evaluations; bands "
    "run from the lowest to the highest draw.",
    readers={"runs": read_runs},
    drawings=_drawings,
)


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
    for run in chosen:
        if not run.get("layers") or not run.get("sources"):
            raise ValueError(f"{Path(run['folder']) / 'run.json'}: {method} mixes no gradients")
    layers = list(chosen[0]["layers"])
    sources = list(dict.fromkeys(source for run in chosen for source in run["sources"]))
    curves = [_weights(run, layers, sources) for run in chosen]

    columns = min(len(layers), 3 if len(layers) <= 6 else 4)
    rows = math.ceil(len(layers) / columns)
    figure = new_figure(2.7 * columns + 0.4, 1.75 * rows + 1.0)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel, layer in zip(grid.flat, layers, strict=False):
        for position, source in enumerate(sources):
            curve = over_draws(curves, f"weight/{layer}/{source}")
            draw_band(panel, curve, line_look(position), label=source)
        panel.set_title(layer)
        panel.set_ylim(-0.03, 1.03)
        panel.set_xlim(left=0)
    hide_unused(list(grid.flat), len(layers), columns)
    figure.supxlabel("training step (mini-batches)", fontsize=9)
    figure.supylabel("weight of the source (sum = 1)", fontsize=9)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=min(4, len(sources)), handlelength=4
    )
    return figure


def _weights(run: Mapping[str, Any], layers: Sequence[str], sources: Sequence[str]) -> pd.DataFrame:
    """The curves of a run; what another draw mixed and this one had not (no image got a label) weighs nothing."""
    own = run["sources"]
    curve = read_curves(run, [f"weight/{layer}/{source}" for layer in layers for source in own])
    for layer in layers:
        for source in set(sources) - set(own):
            curve[f"weight/{layer}/{source}"] = 0 * curve[f"weight/{layer}/{own[0]}"]
    return curve
