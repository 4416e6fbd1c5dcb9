"""The paper's Table 3 with our numbers in it: every method per frame and per video, at every k, beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from gradmix.results.accuracy import Summaries, cell_text, columns_k, few_draws_remarks, summaries
from gradmix.results.layout import Cell, Table, percent
from gradmix.results.paper import PaperNumber, paper_numbers, paper_table
from gradmix.results.records import Method

METRICS = {"accuracy": "per frame", "accuracy_per_video": "per video"}
"""The columns of metrics that it shows, and their names in its head."""


def table3(metrics: pd.DataFrame, methods: Sequence[Method], paper: str | None) -> Table:
    """Return the table: a row per method, for both metrics a column per k and, if there are any, the paper's.

    Args:
        metrics: records with accuracies per video (see `read_metrics`).
        methods: name, title and recipe of every row, in order. Rows without records are left out.
        paper: a name of `gradmix.results.paper.TABLES`, or None.
    """
    cells = {column: summaries(metrics, column) for column in METRICS}
    numbers = {column: paper_numbers(methods, paper, column) for column in METRICS}
    evaluated = {name for own in cells.values() for name, _ in own}
    shown = [method for method in methods if method["name"] in evaluated]
    most = max((cell.count for own in cells.values() for cell in own.values()), default=0)
    head, rows = ["Method"], [[Cell(method["title"])] for method in shown]
    groups = [("", 1)]
    quoted = False
    for column, title in METRICS.items():
        before = len(head)
        for k in columns_k(cells["accuracy"]):
            keys = [(method["name"], k) for method in shown]
            head.append(f"k\u00a0=\u00a0{k}")  # not to be broken, where columns are narrow
            for row, key in zip(rows, keys, strict=True):
                row.append(Cell(cell_text(cells[column].get(key), most)))
            if any(key in numbers[column] for key in keys):
                quoted = True
                head.append(f"paper, k\u00a0=\u00a0{k}")
                for row, key in zip(rows, keys, strict=True):
                    row.append(Cell(percent(*numbers[column].get(key, (None, None)))))
        if len(head) > before:
            groups.append((title, len(head) - before))
    draws = f"mean ± standard error over {most} draws" if most > 1 else "of one draw"
    caption = (
        f"Test accuracy in %, {draws} of the few labels, per frame and per video (the class of the largest mean "
        "softmax over the frames of a clip); k labelled target clips per class."
    )
    quotes = paper_table(paper)
    remarks = few_draws_remarks(most)
    remarks += [quotes.remark] if quotes and quoted else []
    return Table("table3", caption, tuple(head), rows, remarks=remarks, groups=tuple(groups))


def tidy_table3(
    metrics: pd.DataFrame, methods: Sequence[Method], paper: str | None
) -> pd.DataFrame:
    """Return the same, a row per metric, method and k: ours and the paper's mean, and their difference in points."""
    columns = ["metric", "method", "title", "labels_per_class", "draws", "mean_percent"]
    columns += ["standard_error_percent", "paper_mean_percent", "minus_paper_points"]
    rows = []
    for column, title in METRICS.items():
        cells: Summaries = summaries(metrics, column)
        numbers: Mapping[tuple[str, int], PaperNumber] = paper_numbers(methods, paper, column)
        for method in methods:
            for key in sorted(key for key in cells if key[0] == method["name"]):
                ours, theirs = cells[key], numbers.get(key, (None, None))[0]
                difference = None if theirs is None else ours.mean - theirs
                row = (title, key[0], method["title"], key[1], ours.count, ours.mean, ours.error)
                rows.append((*row, theirs, difference))
    return pd.DataFrame(rows, columns=columns)
