"""Tables of ablations: a few methods beside each other, the first of them the reference of paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gradmix.files import write_text
from gradmix.results.accuracy import (
    CLEAR_STUDENT,
    by_draw,
    columns_k,
    difference_text,
    differences,
    summaries,
)
from gradmix.results.layout import Cell, Table, percent, to_latex, to_markdown
from gradmix.results.records import Method, has_videos, listed_metrics, read_metrics

RENEWED = "accuracy_statistics_on_V"


def ablation_table(
    name: str, title: str, metrics: pd.DataFrame, methods: Sequence[Method]
) -> Table:
    """The table of one ablation; see `write_ablation`."""
    metrics = listed_metrics(metrics, methods)
    cells, renewed = summaries(metrics), summaries(metrics, RENEWED)
    reference = methods[0]
    compared = differences(metrics, reference["name"])
    shown = [method for method in methods if any(key[0] == method["name"] for key in cells)]
    head, rows = ["Method"], [[Cell(method["title"])] for method in shown]
    for k in columns_k(cells):
        head += [f"k = {k}", f"minus the first, k = {k}", f"statistics of V, k = {k}"]
        for row, method in zip(rows, shown, strict=True):
            key = (method["name"], k)
            cell, other, difference = cells.get(key), renewed.get(key), compared.get(key)
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
    """What an ablation found, in words: which rows differ from the first one clearly."""
    metrics = listed_metrics(metrics, methods)
    reference = methods[0]
    titles = {method["name"]: method["title"] for method in methods}
    clear, open_ = [], 0
    for (name, k), difference in differences(metrics, reference["name"]).items():
        if difference.clear:
            word = "above" if difference.mean > 0 else "below"
            points = difference_text(difference).replace("*", "")
            clear.append(f"{titles[name]} is {word} it at k = {k} ({points} points)")
        else:
            open_ += 1
    if not clear:
        return f"No row is told from {reference['title']} by these draws."
    rest = f"; the other {open_} comparisons are open" if open_ else ""
    return f"Against {reference['title']}: {', '.join(clear)}{rest}."


def ablation_parts(
    ablations: Iterable[Mapping[str, Any]], metric_files: Iterable[str | Path]
) -> list[dict[str, Any]]:
    """Title, sentence and table of every ablation, for the report.

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
    reference = by_draw(metrics, "accuracy")
    first = methods[0]["name"]
    rows = [
        {
            "method": method,
            "title": titles[method],
            "labels_per_class": k,
            "draw": draw,
            "accuracy_percent": value,
            "minus_first_points": value - reference[first, k][draw]
            if draw in reference.get((first, k), {})
            else None,
        }
        for (method, k), values in reference.items()
        for draw, value in sorted(values.items())
    ]
    folder = Path(folder)
    write_text(folder / f"{table.name}.md", to_markdown(table))
    write_text(folder / f"{table.name}.tex", to_latex(table))
    csv = pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")
    write_text(folder / f"{table.name}.csv", csv)
    return [folder / f"{table.name}.{kind}" for kind in ("csv", "md", "tex")]
