"""What a figure declares in its own module: caption, readers, and which figures of its kind an experiment has.

Declarations are read while a workflow is planned. Modules of figures therefore import pandas and matplotlib for types
only, or inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradmix.config.experiment import Config


@dataclass(frozen=True)
class Files:
    """Files that a figure reads, by what they hold; the workflow knows where they lie (`rules/figures.smk`).

    `methods` and `labels_per_class` (k) narrow the choice; None: the main table's methods, and all k.
    """

    holds: str
    methods: tuple[str, ...] | None = None
    labels_per_class: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Drawing:
    """One figure of an experiment.

    `stem` is its file's name without the format. `files` and `arguments` (as JSON knows them) are those of the module's
    `draw`, by name. `label` tells it from others of its kind. `labels_per_class` is the k that it is of, if only one.
    """

    stem: str
    files: Mapping[str, Files]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    labels_per_class: int | None = None


@dataclass(frozen=True)
class FigureKind:
    """A kind of figure: the report's section and words for it, and what makes `draw`'s arguments of files.

    `format` is the one that the report embeds.
    """

    section: str
    title: str
    caption: str
    readers: Mapping[str, Callable[[Any], Any]]
    drawings: Callable[[Config], Iterable[Drawing]]
    format: str = "svg"


def mixing_methods(experiment: Config) -> list[str]:
    """Return the listed methods with weights that change over training."""
    return [name for name in experiment.methods if experiment.recipe(name).mixes_by_target]


def mixing_rows(experiment: Config) -> list[str]:
    """Return the same of all conditions, by the names of their runs."""
    names = [row["name"] for row in experiment.all_rows()]
    return [name for name in names if experiment.recipe(name).mixes_by_target]
