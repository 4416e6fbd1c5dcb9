"""Every kind of figure, and the figures that an experiment has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gradmix.results.figures.declaration import Drawing, FigureKind

if TYPE_CHECKING:
    from gradmix.config.experiment import Config

KINDS = (
    "accuracy",
    "ranks",
    "conditions",
    "source_weights",
    "hyper_validation_loss",
    "hyper_validation_loss_pair",
    "ablation",
    "layer_weights",
    "adaptive_rate",
    "confusion",
    "pseudo_label_quality",
    "pseudo_label_sweep",
    "grid_heat_map",
    "samples",
)
"""Names of their modules, in the order of the report."""


@dataclass(frozen=True)
class Listed:
    """A figure of an experiment with its kind, the module of that, and the name of its files without the format."""

    stem: str
    module: str
    kind: FigureKind
    drawing: Drawing

    @property
    def arguments(self) -> dict[str, Any]:
        """What `draw` gets besides data."""
        k = self.drawing.k
        return {**self.drawing.arguments, **({} if k is None else {"labels_per_class": k})}

    def described(self, folder: str) -> dict[str, Any]:
        """Return what the report says of it, and the file there that it embeds."""
        kind, drawing = self.kind, self.drawing
        k = "" if drawing.k is None else f"k = {drawing.k}"
        return {
            "section": kind.section,
            "title": kind.title,
            "caption": kind.caption,
            "label": ", ".join(filter(None, [k, drawing.title])),
            "file": f"{folder}/{self.stem}.{kind.format}",
        }


def listed_figures(experiment: Config) -> dict[str, Listed]:
    """Return all figures of an experiment by the names of their files: kind, name and k."""
    figures = {}
    for name in KINDS:
        module = f"{__package__}.{name}"
        kind: FigureKind = import_module(module).FIGURE
        for drawing in kind.drawings(experiment):
            k = "" if drawing.k is None else f"k{drawing.k}"
            stem = "-".join(filter(None, [name, drawing.name, k]))
            figures[stem] = Listed(stem, module, kind, drawing)
    return figures


def figure_packs(figures: Mapping[str, Listed], size: int) -> dict[str, list[str]]:
    """Return the stems by pack, up to `size` in each; those of one k share packs, so that another k adds its own."""
    by_k: dict[str, list[str]] = {}
    for stem, figure in figures.items():
        k = figure.drawing.k
        by_k.setdefault("all" if k is None else f"k{k}", []).append(stem)
    return {
        f"{name}-{start // size}": stems[start : start + size]
        for name, stems in by_k.items()
        for start in range(0, len(stems), size)
    }
