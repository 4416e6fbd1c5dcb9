"""What a figure declares in its own module: caption, readers, and which figures of its kind an experiment has.

Declarations are read while a workflow is planned. Modules of figures therefore import pandas and matplotlib for types
only, or inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradmix.config.experiment import Config


@dataclass(frozen=True)
class Files:
    """Files that a figure reads, by what they hold; the workflow knows where they lie (`rules/reported.smk`).

    `methods` and `labels_per_class` narrow the choice; None: the main table's methods, and the drawing's k or else all.
    """

    holds: str
    methods: Sequence[str] | None = None
    labels_per_class: Sequence[int] | None = None


@dataclass(frozen=True)
class Drawing:
    """One figure of an experiment: what its module's `draw` gets, by argument.

    `arguments` are what JSON knows; where there is a `k`, it is one of them, as labels_per_class. `name` and `k` tell
    figures of one kind apart in their files' names, `title` and `k` in the report.
    """

    files: Mapping[str, Files]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    k: int | None = None
    name: str = ""
    title: str = ""


@dataclass(frozen=True)
class FigureKind:
    """A kind of figure: the report's section and words for it, and which of it an experiment has.

    `readers` make arguments of `draw` of files. `format` is the one that the report embeds.
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
