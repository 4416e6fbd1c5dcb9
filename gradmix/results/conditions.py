"""Conditions: the same methods trained on other sets of sources. Each becomes a part that reads like an experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradmix.results.records import Method

if TYPE_CHECKING:
    import pandas as pd

    from gradmix.config.experiment import Config

Condition = Mapping[str, Any]
"""name, title, sources and labels_per_class (the k it is evaluated at; empty: all) of a condition."""


@dataclass(frozen=True)
class Part:
    """The rows and the metrics of one condition by plain method names, so that all else need not know of conditions.

    `methods` are its rows with the plain name as `name`, the run's as `run`. Without conditions, `name` and `title`
    are empty and the one part holds everything.
    """

    name: str
    title: str
    sources: tuple[str, ...]
    methods: list[Method]
    metrics: pd.DataFrame


def listed_conditions(experiment: Config) -> list[Condition]:
    """Return the conditions of an experiment, its own sources' first."""
    main = experiment.main_condition()
    return [
        {
            "name": name,
            "title": experiment.conditions[name].title,
            "sources": list(experiment.conditions[name].sources),
            "labels_per_class": list(experiment.conditions[name].labels_per_class),
        }
        for name in sorted(experiment.conditions, key=lambda name: name != main)
    ]


def plain_name(row: Method) -> str:
    """The name of a row's method, without the condition that it was trained in."""
    return row.get("method", row["name"])


def plain_rows(methods: Sequence[Method]) -> list[Method]:
    """Return one row per method, in order: `name` is the plain name, the title that of its first row."""
    rows: dict[str, Method] = {}
    for row in methods:
        rows.setdefault(plain_name(row), {**row, "name": plain_name(row), "run": row["name"]})
    return list(rows.values())


def titled_rows(methods: Sequence[Method], conditions: Sequence[Condition]) -> list[Method]:
    """Return the rows under their runs' names, with titles that say the condition where there are several."""
    titles = {row["name"]: row["title"] for row in plain_rows(methods)}
    where = {condition["name"]: f" ({condition['title']})" for condition in conditions}
    return [
        {**row, "title": titles[plain_name(row)] + where.get(row.get("condition", ""), "")}
        for row in methods
    ]


def part_rows(methods: Sequence[Method], condition: str) -> list[Method]:
    """Return the rows that belong to a condition, in the methods' order; those of no condition belong to every one."""
    own = {plain_name(row): row for row in methods if row.get("condition", "") in ("", condition)}
    return [
        {**row, "run": own[row["name"]]["name"]}
        for row in plain_rows(methods)
        if row["name"] in own
    ]


def parts_of(
    metrics: pd.DataFrame, methods: Sequence[Method], conditions: Sequence[Condition]
) -> list[Part]:
    """Return a part per condition, in order; without conditions, the one part that holds everything.

    Args:
        metrics: of `listed_metrics`, under the runs' names.
        methods: name, title and recipe of every row; with conditions also method (the plain name) and condition.
        conditions: name, title, sources and labels_per_class of each; the first is the one that others fall from.
    """
    parts = []
    for condition in conditions or [{"name": "", "title": "", "sources": []}]:
        rows = part_rows(methods, condition["name"])
        plain = {row["run"]: row["name"] for row in rows}
        own = metrics[metrics["method"].isin(list(plain))]
        if condition.get("labels_per_class"):
            own = own[own["labels_per_class"].isin(condition["labels_per_class"])]
        own = own.assign(method=own["method"].map(plain))
        parts.append(
            Part(condition["name"], condition["title"], tuple(condition["sources"]), rows, own)
        )
    return parts
