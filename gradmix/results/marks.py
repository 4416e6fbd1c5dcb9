"""Footnote marks: what runs had to say about themselves, attached to the cells of a table that they concern."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from gradmix.results.layout import mark_letter
from gradmix.results.records import Method

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def collect_notes(
    metrics: pd.DataFrame, runs: Iterable[Mapping[str, Any]], methods: Sequence[Method]
) -> pd.DataFrame:
    """Return one row per note, with columns method, labels_per_class, draw and note, each once, in table order.

    A note of a run stored under k = 0 concerns every k at which that method and draw were evaluated.
    """
    evaluated = list(
        zip(metrics["method"], metrics["labels_per_class"], metrics["draw"], strict=True)
    )
    collected = [
        (*key, note)
        for key, notes in zip(evaluated, metrics["notes"], strict=True)
        for note in notes
    ]
    for run in runs:
        for note in [*(run.get("notes") or []), *_reading(run)]:
            collected += [
                (method, k, draw, note)
                for method, k, draw in evaluated
                if (method, draw) == (run["method"], run["draw"])
                and run["labels_per_class"] in (k, 0)
            ]
    columns = ["method", "labels_per_class", "draw", "note"]
    order = {method["name"]: position for position, method in enumerate(methods)}
    frame = pd.DataFrame(list(dict.fromkeys(collected)), columns=columns)
    frame = frame[frame["method"].isin(list(order))]
    frame = frame.sort_values("method", key=lambda names: names.map(order), kind="stable")
    return frame.reset_index(drop=True)


def _reading(run: Mapping[str, Any]) -> list[str]:
    """That V trained nothing, for a run of another method than the one that is defined so."""
    last_layer = (run.get("settings") or {}).get("gradmix", {}).get("last_layer")
    if last_layer != "H0" or run.get("recipe") == "gradmix_literal":
        return []
    return ["made under last_layer H0, the paper read literally: V guides and trains nothing"]


def mark_cells(
    notes: pd.DataFrame, methods: Sequence[Method]
) -> tuple[dict[tuple[str, int], tuple[str, ...]], list[tuple[str, str]]]:
    """Return the marks of each cell {(method, k): letters} and the footnotes [(letter, text)].

    Notes that differ in their numbers only share a mark, or ten draws would make ten footnotes of one message.
    """
    titles = {method["name"]: method["title"] for method in methods}
    marks: dict[tuple[str, int], tuple[str, ...]] = {}
    footnotes = []
    kinds = notes["note"].map(lambda note: _NUMBER.sub("#", note))
    for position, kind in enumerate(dict.fromkeys(kinds)):
        letter = mark_letter(position)
        rows = notes[kinds == kind]
        wordings = list(dict.fromkeys(rows["note"]))
        places = []
        for (method, labels_per_class), cell in rows.groupby(
            ["method", "labels_per_class"], sort=False
        ):
            draws = sorted(set(cell["draw"]))
            marks[method, labels_per_class] = (*marks.get((method, labels_per_class), ()), letter)
            listed = ", ".join(map(str, draws))
            draws_text = f"draw{'s' if len(draws) > 1 else ''} {listed}"
            places.append(f"{titles[method]}, k = {labels_per_class}, {draws_text}")
        text = wordings[0] if len(wordings) == 1 else f"{wordings[0]} (numbers differ by run)"
        footnotes.append((letter, f"{text} [{'; '.join(places)}]"))
    return marks, footnotes
