"""Tables of ablations: a few methods beside each other, the first of them the reference of paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gradmix.results.accuracy import (
    CLEAR_STUDENT,
    by_draw,
    columns_k,
    difference_text,
    differences,
    summaries,
)
from gradmix.results.layout import Cell, Table, percent, write_table
from gradmix.results.records import Method, has_videos, listed_metrics, read_metrics
from gradmix.results.table_files import renewed


def ablation_table(
    name: str, title: str, metrics: pd.DataFrame, methods: Sequence[Method]
) -> Table:
    """Return the table of one ablation; see `write_ablation`."""
    metrics = listed_metrics(metrics, methods)
    cells, on_V = summaries(metrics), summaries(metrics, renewed("accuracy"))
    reference = methods[0]
    compared = differences(metrics, reference["name"])
    shown = [method for method in methods if any(key[0] == method["name"] for key in cells)]
    head, rows = ["Method"], [[Cell(method["title"])] for method in shown]
    for k in columns_k(cells):
        head += [f"k = {k}", f"minus the first, k = {k}", f"statistics of V, k = {k}"]
        for row, method in zip(rows, shown, strict=True):
            key = (method["name"], k)
            cell, other, difference = cells.get(key), on_V.get(key), compared.get(key)
            row.append(Cell(percent(cell.mean, cell.error) if cell else "–"))
            row.append(Cell(difference_text(difference) if difference else "–"))
            row.append(Cell(percent(other.mean, other.error) if other else "–"))
    most = max((cell.count for cell in cells.values()), default=0)
    unit = " per frame" if has_videos(metrics) else ""
    caption = (
        f"{title}. Test accuracy{unit} in %, mean ± standard error over {most} draw{'s' if most != 1 else ''}; "
        "differences "
        f"to {reference['title']} in points, paired over draws, with Student's 95 % interval "
        f"({CLEAR_STUDENT}); and the same checkpoints with batch-normalisation statistics re-estimated on V."
    )
    return Table(f"ablation-{name}", caption, tuple(head), rows)


def ablation_sentence(metrics: pd.DataFrame, methods: Sequence[Method]) -> str:
    """Return which rows differ clearly from the first one, in words."""
    metrics = listed_metrics(metrics, methods)
    reference = methods[0]
    titles = {method["name"]: method["title"] for method in methods}
    clear, unclear = [], 0
    for (name, k), difference in differences(metrics, reference["name"]).items():
        if difference.clear:
            word = "above" if difference.mean > 0 else "below"
            points = difference_text(difference).replace("*", "")
            clear.append(f"{titles[name]} is {word} it at k = {k} ({points} points)")
        else:
            unclear += 1
    if not clear:
        return f"No row can be separated from {reference['title']} by these draws."
    rest = f"; the other {unclear} comparisons are not clear" if unclear else ""
    return f"Against {reference['title']}: {', '.join(clear)}{rest}."


def ablation_parts(
    ablations: Iterable[Mapping[str, Any]], metric_files: Iterable[str | Path]
) -> list[dict[str, Any]]:
    """Return title, sentence and table of every ablation, for the report.

    Args:
        ablations: name, title, methods and, where it is not made everywhere, labels_per_class of each.
        metric_files: metrics.json of all their methods, k and draws.
    """
    metrics = read_metrics(dict.fromkeys(map(str, metric_files)))
    parts = []
    for ablation in ablations:
        ks = ablation.get("labels_per_class")
        rows = metrics[metrics["labels_per_class"].isin(ks)] if ks else metrics
        methods = ablation["methods"]
        parts.append(
            {
                "title": ablation["title"],
                "sentence": ablation_sentence(rows, methods),
                "table": ablation_table(ablation["name"], ablation["title"], rows, methods),
            }
        )
    return parts


def write_ablation(
    name: str,
    title: str,
    metric_files: Iterable[str | Path],
    methods: Sequence[Method],
    folder: str | Path,
) -> list[Path]:
    """Write ``ablation-<name>`` as CSV (tidy, per draw), Markdown and LaTeX into ``folder``.

    Args:
        name: of the ablation.
        title: its headline.
        metric_files: metrics.json of all its methods, k and draws.
        methods: name, title and recipe of its rows; the first one is the reference.
        folder: where the tables go.

    Raises:
        ValueError: for a broken record, naming the file.
    """
    metrics = listed_metrics(read_metrics(metric_files), methods)
    table = ablation_table(name, title, metrics, methods)
    titles = {method["name"]: method["title"] for method in methods}
    accuracies = by_draw(metrics, "accuracy")
    first = methods[0]["name"]
    rows = [
        {
            "method": method,
            "title": titles[method],
            "labels_per_class": k,
            "draw": draw,
            "accuracy_percent": value,
            "minus_first_points": value - accuracies[first, k][draw]
            if draw in accuracies.get((first, k), {})
            else None,
        }
        for (method, k), values in accuracies.items()
        for draw, value in sorted(values.items())
    ]
    return write_table(Path(folder) / table.name, [table], pd.DataFrame(rows))
