"""Figure: precision against coverage of hard labels, over thresholds, for several numbers of models."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradmix.results.figures.declaration import Drawing, FigureKind, Files
from gradmix.results.figures.style import line_look, message_figure, new_figure, styled
from gradmix.results.records import key_of_path, read_parquet

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from gradmix.config.experiment import Config


def read_sweeps(files: Iterable[str | Path]) -> pd.DataFrame:
    """Return the sweeps of all files (.../<k>/<draw>.parquet) in one table, with columns labels_per_class and draw."""
    import pandas as pd

    parts = []
    for file in files:
        k, draw = key_of_path(file)
        parts.append(read_parquet(file).assign(labels_per_class=k, draw=draw))
    return pd.concat(parts, ignore_index=True)


def _drawings(experiment: Config) -> list[Drawing]:
    sweep = experiment.pseudo_labels.sweep
    if not sweep.models or not sweep.thresholds:
        return []
    return [Drawing({"sweeps": Files("sweeps")})]


FIGURE = FigureKind(
    section="pseudo_labels",
    title="Pseudo-labels: precision against coverage",
    caption="A line per number of models R, from the lowest threshold to the highest (written at its ends): means over "
    "draws. The truth was looked up after training, for this figure only; nothing was chosen by it.",
    readers={"sweeps": read_sweeps},
    drawings=_drawings,
)


@styled
def draw(sweeps: pd.DataFrame) -> Figure:
    """Draw a panel per k, a line per R over the thresholds (marked at its ends): means over draws, %."""
    if sweeps.empty:
        return message_figure("No sweep over models and thresholds.")
    ks = sorted(set(sweeps["labels_per_class"]))
    figure = new_figure(max(5.0, 3.0 * len(ks) + 1.0), 3.5)
    panels = figure.subplots(1, len(ks), sharey=True, sharex=True, squeeze=False)[0]
    for panel, k in zip(panels, ks, strict=True):
        rows = sweeps[sweeps["labels_per_class"] == k]
        means = rows.groupby(["models", "threshold"])[["coverage", "precision"]].mean() * 100
        for position, models in enumerate(sorted(set(rows["models"]))):
            line = means.loc[models].sort_index().dropna()
            if line.empty:  # nothing was accepted at any threshold
                continue
            panel.plot(
                line["coverage"], line["precision"], label=f"R = {models}", **line_look(position)
            )
            for threshold in (line.index[0], line.index[-1]):
                panel.annotate(
                    f"{threshold:g}",
                    (line.loc[threshold, "coverage"], line.loc[threshold, "precision"]),
                    textcoords="offset points",
                    xytext=(4, 3),
                    fontsize=6.5,
                    color="#555555",
                )
        panel.set_title(f"k = {k}")
    figure.supxlabel("coverage: accepted images of U (%)", fontsize=9)
    panels[0].set_ylabel("precision: accepted ones that are right (%)")
    handles: dict[str, Any] = {}
    for panel in panels:
        handles |= {
            text: line for line, text in zip(*panel.get_legend_handles_labels(), strict=True)
        }
    if not handles:
        return message_figure("No image was accepted by any number of models at any threshold.")
    figure.legend(handles.values(), handles.keys(), loc="outside right upper")
    return figure
