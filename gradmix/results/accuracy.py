"""The accuracy tables: mean ± standard error per method and k, and paired differences to a reference method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradmix.results.conditions import Part
from gradmix.results.layout import Cell, Table, percent
from gradmix.results.paper import PaperNumber
from gradmix.results.records import Method
from gradmix.results.statistics import Summary, mark_clear, paired_difference

if TYPE_CHECKING:
    import pandas as pd
    from pandas.core.groupby import SeriesGroupBy

_CELL = ["method", "labels_per_class"]
Summaries = dict[tuple[str, int], Summary]
CLEAR = "intervals uncorrected; * = clear: both exclude zero and Holm's correction over the rows of the column keeps it"
"""What captions say of the star behind an interval (see `mark_clear`)."""

CLEAR_STUDENT = (
    "uncorrected; * = clear: it and the bootstrap's exclude zero and Holm's correction over the rows of the column "
    "keeps it"
)
"""The same where Student's interval stands alone."""

Marks = Mapping[tuple[str, int], tuple[str, ...]]


def by_draw(metrics: pd.DataFrame, column: str) -> dict[tuple[str, int], dict[int, float]]:
    """Return {(method, k): {draw: value in percent}}, without missing values."""
    return {
        (method, int(k)): dict(zip(values.index.get_level_values("draw"), values, strict=True))
        for (method, k), values in _cells(metrics, column)
    }


def summaries(metrics: pd.DataFrame, column: str = "accuracy") -> Summaries:
    """Return {(method, k): mean, standard error and number of draws}, in percent."""
    cells = _cells(metrics, column).agg(["mean", "sem", "count"])
    return {
        (method, int(k)): Summary(mean, error if count > 1 else None, int(count))
        for (method, k), mean, error, count in cells.itertuples()
    }


def _cells(metrics: pd.DataFrame, column: str) -> SeriesGroupBy:
    """Values in percent with their draws, without missing ones, by method and k in the order of the rows."""
    values = 100 * metrics.set_index([*_CELL, "draw"])[column].dropna()
    return values.groupby(level=_CELL, sort=False)


def differences(
    metrics: pd.DataFrame, reference: str = "gradmix", column: str = "accuracy"
) -> Summaries:
    """Return {(method, k): paired difference to `reference` in points}; cells without a common draw are left out.

    Those of one k are a column: `clear` is corrected over its rows (see `mark_clear`).
    """
    values = by_draw(metrics, column)
    cells = {}
    for (method, k), draws in values.items():
        difference = paired_difference(draws, values.get((reference, k), {}))
        if method != reference and difference is not None:
            cells[method, k] = difference
    return clear_by_k(cells)


def clear_by_k(cells: Summaries) -> Summaries:
    """Return the differences with `clear` set, those of each k as one column."""
    marked = dict(cells)
    for k in columns_k(cells):
        marked |= mark_clear({key: cell for key, cell in cells.items() if key[1] == k})
    return marked


def columns_k(cells: Mapping[tuple[str, int], object]) -> list[int]:
    """Return the values of k among the cells, ascending."""
    return sorted({labels_per_class for _, labels_per_class in cells})


def few_draws_remarks(draws: int) -> list[str]:
    """What stands below a table of means over one draw or two: what so few can tell."""
    if draws == 1:
        return ["One draw says nothing of how far accuracies vary from draw to draw."]
    if draws == 2:
        return [
            "Of two draws, mean ± standard error are the two values themselves. Their distance is a poor measure of "
            "how far draws vary: Student's 95 % interval of the mean is 12.7 standard errors wide to each side."
        ]
    return []


def _draws_text(cells: Iterable[Summary]) -> tuple[str, int]:
    counts = {summary.count for summary in cells}
    most = max(counts, default=0)
    if most == 1:
        return "one draw of the few labels, so no standard error", most
    unless = "" if len(counts) <= 1 else " (fewer where stated)"
    return f"mean ± standard error over {most} draws{unless} of the few labels", most


def cell_text(summary: Summary | None, most: int, *, signed: bool = False) -> str:
    """Return mean ± standard error, with the number of draws where it is not `most`, and a dash for None."""
    if summary is None:
        return "–"
    text = percent(summary.mean, summary.error, signed=signed)
    return text if summary.count == most else f"{text} (n = {summary.count})"


def accuracy_table(
    parts: Sequence[Part],
    methods: Sequence[Method],
    *,
    column: str,
    what: str,
    paper: Mapping[tuple[str, int], PaperNumber] | None = None,
    marks: Marks | None = None,
    footnotes: Sequence[tuple[str, str]] = (),
    tried: Mapping[str, int] | None = None,
    paper_remark: str = "",
    labelled: str = "images",
) -> Table:
    """Return the table of a column of the metrics (in percent): k side by side, under the conditions where there are.

    Args:
        parts: the conditions' rows and metrics; one part without conditions.
        methods: the rows, by plain name and in order. Those without any cell are left out.
        column: of the metrics; the table's name.
        what: names the quantity in the caption.
        paper: the paper's numbers, which stand beside those of the first part.
        marks: of the runs' cells, by the run's method and k.
        footnotes: what the marks say.
        tried: how many settings each run's method tried on H; a column where any tried more than one.
        paper_remark: stands below, where the paper's numbers are shown.
        labelled: what k counts, images or clips.
    """
    paper, marks, tried = paper or {}, marks or {}, tried or {}
    cells = [summaries(part.metrics, column) for part in parts]
    draws, most = _draws_text(cell for own in cells for cell in own.values())
    blocks = []
    runs_of_row: dict[str, list[str]] = {}
    for part, own in zip(parts, cells, strict=True):
        runs = {row["name"]: row["run"] for row in part.methods}
        texts = {
            (name, k): Cell(cell_text(cell, most), tuple(marks.get((runs.get(name, ""), k), ())))
            for (name, k), cell in own.items()
        }
        blocks.append(Block(part.title, texts, paper if part is parts[0] else {}))
        for name, run in runs.items():
            runs_of_row.setdefault(name, []).append(run)
    shown, head, rows, groups = side_by_side(methods, blocks)
    if any(count > 1 for count in tried.values()):
        head.append("tried")
        groups.append(("", 1))
        for row, method in zip(rows, shown, strict=True):
            row.append(Cell(str(max(tried.get(run, 1) for run in runs_of_row[method["name"]]))))
    quoted = any(text.startswith("paper") for text in head)
    return Table(
        column,
        f"{what} in %, {draws}; k labelled target {labelled} per class.",
        tuple(head),
        rows,
        list(footnotes) if any(marks.values()) else [],
        few_draws_remarks(most) + ([paper_remark] if quoted else []),
        groups=tuple(groups) if len(parts) > 1 else (),
    )


@dataclass(frozen=True)
class Block:
    """Cells by method and k that stand beside other blocks under a common title, and the paper's numbers for them."""

    title: str
    cells: Mapping[tuple[str, int], Cell]
    paper: Mapping[tuple[str, int], PaperNumber] = field(default_factory=dict)


def side_by_side(
    methods: Sequence[Method], blocks: Sequence[Block], equals: str = " = "
) -> tuple[list[Method], list[str], list[list[Cell]], list[tuple[str, int]]]:
    """Return the methods with any cell, and the head, rows and groups of a table of the blocks, with a column per k.

    The paper's numbers stand beside a column of which it has any. `equals` stands between k and its value.
    """
    evaluated = {name for block in blocks for name, _ in block.cells}
    shown = [method for method in methods if method["name"] in evaluated]
    head, groups = ["Method"], [("", 1)]
    rows = [[Cell(method["title"])] for method in shown]
    for block in blocks:
        before = len(head)
        for k in columns_k(block.cells):
            keys = [(method["name"], k) for method in shown]
            head.append(f"k{equals}{k}")
            for row, key in zip(rows, keys, strict=True):
                row.append(block.cells.get(key, Cell("–")))
            if any(key in block.paper for key in keys):
                head.append(f"paper, k{equals}{k}")
                for row, key in zip(rows, keys, strict=True):
                    row.append(Cell(percent(*block.paper.get(key, (None, None)))))
        if len(head) > before:
            groups.append((block.title, len(head) - before))
    return shown, head, rows, groups


def interval_text(interval: tuple[float, float] | None, star: bool = False) -> str:
    """Return `[−0.30, +2.70]`, with a star behind it if asked, and a dash where there is no interval."""
    if interval is None:
        return "–"
    text = f"[{interval[0]:+z.2f}, {interval[1]:+z.2f}]".replace("-", "−")
    return f"{text}*" if star else text


def difference_text(difference: Summary) -> str:
    """Return `+1.20 [−0.30, +2.70]`, Student's interval, and a star where it is clear; of one draw, the value."""
    text = percent(difference.mean, None, signed=True)
    if difference.student is None:
        return text
    return f"{text} {interval_text(difference.student, difference.clear)}"


def difference_table(
    by_reference: Mapping[str, Summaries],
    methods: Sequence[Method],
    labels_per_class: int,
    *,
    name: str,
    what: str,
) -> Table:
    """Return the table of paired differences (points) at one k to each reference, with both intervals.

    A star stands behind the bootstrap interval of a clear difference (see `mark_clear`). With fewer than three draws
    there is Student's interval only, and no star.
    """
    at_k = {
        reference: {key: cell for key, cell in cells.items() if key[1] == labels_per_class}
        for reference, cells in by_reference.items()
    }
    most = max((cell.count for cells in at_k.values() for cell in cells.values()), default=0)
    has_bootstrap = most > 2
    titles = {method["name"]: method["title"] for method in methods}
    rows = []
    for method in methods:
        compared = [cells.get((method["name"], labels_per_class)) for cells in at_k.values()]
        if not any(compared):
            continue
        row = [Cell(method["title"])]
        for summary in compared:
            row.append(Cell(cell_text(summary, most, signed=True)))
            if has_bootstrap:
                row.append(
                    Cell(interval_text(summary.bootstrap, summary.clear) if summary else "–")
                )
            row.append(Cell(interval_text(summary.student) if summary else "–"))
        rows.append(row)
    head = ["Method"]
    for reference in at_k:
        head.append(f"minus {titles.get(reference, reference)}")
        head += ["bootstrap 95 %", "Student 95 %"] if has_bootstrap else ["Student 95 %"]
    over = "one common draw" if most == 1 else f"{most} common draws"
    intervals = (
        f"bootstrap and Student's 95 % intervals over draws ({CLEAR})"
        if has_bootstrap
        else "Student's 95 % interval over draws (uncorrected; fewer than three draws show nothing clearly)"
    )
    caption = (
        f"{what} at k = {labels_per_class}, in percentage points, paired over {over}: mean ± standard "
        f"error, {intervals}."
    )
    table = f"{name}-k{labels_per_class}"
    return Table(table, caption, tuple(head), rows)
