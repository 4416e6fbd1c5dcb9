"""Figure: the importance rho and the learning-rate factor eta over training, for every mixing method at one k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradmix.results.figures.curves import over_draws
from gradmix.results.figures.declaration import Drawing, FigureKind, Files, mixing_methods
from gradmix.results.figures.style import message_figure, new_figure, styled
from gradmix.results.records import Method, read_curves, read_runs, runs_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIGURE = FigureKind(
    section="training",
    title="Importance ρ and learning-rate factor η",
    caption="Above, ρ: the sum over layers of the cosine between the mixed source gradient and the target gradient; 0 "
    "means that the best mixture of sources is of no help to the target. Below, η = 1/(1 + exp(−(βρ − γ))), "
    "by which the step is multiplied. Solid: mean; dotted: lowest and highest draw; grey: from the 10 % to the "
    "90 % quantile of single steps.",
    readers={"runs": read_runs},
    drawings=lambda experiment: [
        Drawing({"runs": Files("runs", methods)}, {"methods": experiment.rows()}, k)
        for methods in [mixing_methods(experiment)]
        for k in (experiment.labels_per_class if methods else ())
    ],
)

_NAMES = {"rho": "importance ρ\n(sum of layer cosines)", "eta": "rate factor η"}


def _draw_quantity(axes: Axes, curves: Sequence[pd.DataFrame], name: str) -> None:
    mean = over_draws(curves, name)
    low, high = over_draws(curves, f"{name}_low"), over_draws(curves, f"{name}_high")
    if not low.empty and not high.empty:
        axes.fill_between(low["step"], low["mean"], high["mean"], color="#bbbbbb", linewidth=0)
    axes.plot(mean["step"], mean["low"], color="black", linewidth=0.7, linestyle=(0, (2, 1.5)))
    axes.plot(mean["step"], mean["high"], color="black", linewidth=0.7, linestyle=(0, (2, 1.5)))
    axes.plot(mean["step"], mean["mean"], color="black", linewidth=1.6)


@styled
def draw(
    runs: Sequence[Mapping[str, Any]], methods: Sequence[Method], *, labels_per_class: int
) -> Figure:
    """Draw rho (row 1) and eta (row 2), a column per method: mean over steps and draws as a solid line, the range of
    the draws' means dotted, and the 10 % to 90 % band of single steps (mean over draws) in grey.
    """
    columns: list[tuple[str, list[pd.DataFrame]]] = []
    for method in methods:
        curves = [read_curves(run) for run in runs_of(runs, method["name"], labels_per_class)]
        with_rho = [c for c in curves if {"rho", "rho_low", "rho_high", "eta"} <= set(c.columns)]
        if with_rho and any(curve["rho"].notna().any() for curve in with_rho):
            columns.append((method["title"], with_rho))
    if not columns:
        return message_figure(f"No method at k = {labels_per_class} mixes gradients.")
    figure = new_figure(2.5 * len(columns) + 0.9, 3.9)
    grid = figure.subplots(2, len(columns), sharex=True, sharey="row", squeeze=False)
    for position, (title, curves) in enumerate(columns):
        for axes, name in zip(grid[:, position], _NAMES, strict=True):
            _draw_quantity(axes, curves, name)
            axes.set_xlim(left=0)
        grid[0, position].axhline(0, color="#888888", linewidth=0.8)
        grid[0, position].set_title(title)
        grid[1, position].set_ylim(-0.03, 1.03)
    for row, label in enumerate(_NAMES.values()):
        grid[row, 0].set_ylabel(label)
    figure.supxlabel("training step (mini-batches)", fontsize=9)
    return figure
