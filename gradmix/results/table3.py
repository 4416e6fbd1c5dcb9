"""The paper's Table 3 with our numbers in it: every method per frame and per video, at every k, beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from gradmix.results.accuracy import Block, cell_text, few_draws_remarks, side_by_side, summaries
from gradmix.results.layout import Cell, Table
from gradmix.results.paper import paper_numbers, paper_table
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
    most = max((cell.count for own in cells.values() for cell in own.values()), default=0)
    blocks = [
        Block(
            title,
            {key: Cell(cell_text(cell, most)) for key, cell in cells[column].items()},
            paper_numbers(methods, paper, column),
        )
        for column, title in METRICS.items()
    ]
    # Not to be broken, where columns are narrow.
    _, head, rows, groups = side_by_side(methods, blocks, "\u00a0=\u00a0")
    draws = f"mean ± standard error over {most} draws" if most > 1 else "of one draw"
    caption = (
        f"Test accuracy in %, {draws} of the few labels, per frame and per video (the class of the largest mean "
        "softmax over the frames of a clip); k labelled target clips per class."
    )
    quotes = paper_table(paper)
    remarks = few_draws_remarks(most)
    quoted = any(text.startswith("paper") for text in head)
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
        cells, numbers = summaries(metrics, column), paper_numbers(methods, paper, column)
        for method in methods:
            for key in sorted(key for key in cells if key[0] == method["name"]):
                ours, theirs = cells[key], numbers.get(key, (None, None))[0]
                difference = None if theirs is None else ours.mean - theirs
                row = (title, key[0], method["title"], key[1], ours.count, ours.mean, ours.error)
                rows.append((*row, theirs, difference))
    return pd.DataFrame(rows, columns=columns)
