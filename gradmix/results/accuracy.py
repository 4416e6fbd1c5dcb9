"""The accuracy tables: mean ± standard error per method and k, and paired differences to a reference method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from gradmix.results.layout import Cell, Table, percent
from gradmix.results.paper import SELECTION_NOTE, SETTING, PaperNumber
from gradmix.results.records import Method
from gradmix.results.statistics import Summary, paired_difference, summarise

Summaries = dict[tuple[str, int], Summary]
Marks = Mapping[tuple[str, int], tuple[str, ...]]


def by_draw(metrics: pd.DataFrame, column: str) -> dict[tuple[str, int], dict[int, float]]:
    """Return {(method, k): {draw: value in percent}}, without missing values."""
    values: dict[tuple[str, int], dict[int, float]] = {}
    for method, labels_per_class, draw, value in zip(
        metrics["method"],
        metrics["labels_per_class"],
        metrics["draw"],
        metrics[column],
        strict=True,
    ):
        if not pd.isna(value):
            values.setdefault((method, int(labels_per_class)), {})[int(draw)] = 100 * value
    return values


def summaries(metrics: pd.DataFrame, column: str = "accuracy") -> Summaries:
    """Return {(method, k): mean, standard error and number of draws}, in percent."""
    found = {}
    for key, values in by_draw(metrics, column).items():
        summary = summarise(values.values())
        assert summary is not None  # by_draw makes no empty cells
        found[key] = summary
    return found


def differences(
    metrics: pd.DataFrame, reference: str = "gradmix", column: str = "accuracy"
) -> Summaries:
    """Return {(method, k): paired difference to `reference` in points}; cells without a common draw are left out."""
    values = by_draw(metrics, column)
    found = {}
    for (method, labels_per_class), draws in values.items():
        difference = paired_difference(draws, values.get((reference, labels_per_class), {}))
        if method != reference and difference is not None:
            found[method, labels_per_class] = difference
    return found


def columns_k(cells: Mapping[tuple[str, int], object]) -> list[int]:
    """Return the values of k among the cells, ascending."""
    return sorted({labels_per_class for _, labels_per_class in cells})


def _draws_text(cells: Summaries) -> tuple[str, int]:
    counts = {summary.count for summary in cells.values()}
    most = max(counts, default=0)
    if most == 1:
        return "one draw of the few labels, so no standard error", most
    unless = "" if len(counts) <= 1 else " (fewer where stated)"
    return f"mean ± standard error over {most} draws{unless} of the few labels", most


def _text(summary: Summary | None, most: int, *, signed: bool = False) -> str:
    if summary is None:
        return "–"
    text = percent(summary.mean, summary.error, signed=signed)
    return text if summary.count == most else f"{text} (n = {summary.count})"


def accuracy_table(
    cells: Summaries,
    methods: Sequence[Method],
    *,
    name: str,
    what: str,
    paper: Mapping[tuple[str, int], PaperNumber],
    marks: Marks,
    footnotes: list[tuple[str, str]],
    tried: Mapping[str, int] | None = None,
) -> Table:
    """Return the table of `cells` (percent), rows in the order of `methods`, the paper's numbers beside ours.

    `what` names the quantity in the caption. Methods without any cell are left out. `tried`: how many settings each
    method tried on H; a column where any tried more than one.
    """
    draws, most = _draws_text(cells)
    shown = [method for method in methods if any(key[0] == method["name"] for key in cells)]
    head = ["Method"]
    rows = [[Cell(method["title"])] for method in shown]
    paper_shown = False
    for labels_per_class in columns_k(cells):
        keys = [(method["name"], labels_per_class) for method in shown]
        head.append(f"k = {labels_per_class}")
        for row, key in zip(rows, keys, strict=True):
            row.append(Cell(_text(cells.get(key), most), tuple(marks.get(key, ()))))
        if any(key in paper for key in keys):
            paper_shown = True
            head.append(f"paper, k = {labels_per_class}")
            for row, key in zip(rows, keys, strict=True):
                row.append(Cell(percent(*paper.get(key, (None, None)))))
    counts = tried or {}
    if any(count > 1 for count in counts.values()):
        head.append("tried")
        for row, method in zip(rows, shown, strict=True):
            row.append(Cell(str(counts.get(method["name"], 1))))
    remarks = (
        [f"Paper: {SETTING} (arXiv:2002.03264, Table 1). {SELECTION_NOTE}"] if paper_shown else []
    )
    caption = f"{what} in %, {draws}; k labelled target images per class."
    return Table(
        name, caption, tuple(head), rows, footnotes if any(marks.values()) else [], remarks
    )


def interval_text(interval: tuple[float, float] | None, star: bool = False) -> str:
    """Return `[−0.30, +2.70]`, with a star behind it if asked, and a dash where there is no interval."""
    if interval is None:
        return "–"
    text = f"[{interval[0]:+.2f}, {interval[1]:+.2f}]".replace("-", "−")
    return f"{text}*" if star else text


def difference_table(
    by_reference: Mapping[str, Summaries], methods: Sequence[Method], labels_per_class: int
) -> Table:
    """Return the table of paired differences (points) at one k to each reference, with both intervals.

    A star stands behind a bootstrap interval where both it and Student's exclude zero.
    """
    at_k = {
        reference: {key: cell for key, cell in cells.items() if key[1] == labels_per_class}
        for reference, cells in by_reference.items()
    }
    _, most = _draws_text({key: c for cells in at_k.values() for key, c in cells.items()})
    titles = {method["name"]: method["title"] for method in methods}
    rows = []
    for method in methods:
        found = [cells.get((method["name"], labels_per_class)) for cells in at_k.values()]
        if not any(found):
            continue
        row = [Cell(method["title"])]
        for summary in found:
            row.append(Cell(_text(summary, most, signed=True)))
            row.append(Cell(interval_text(summary.bootstrap, summary.is_clear) if summary else "–"))
            row.append(Cell(interval_text(summary.student) if summary else "–"))
        rows.append(row)
    head = ["Method"]
    for reference in at_k:
        head += [f"minus {titles.get(reference, reference)}", "bootstrap 95 %", "Student 95 %"]
    over = "one common draw" if most == 1 else f"{most} common draws"
    caption = (
        f"Accuracy differences at k = {labels_per_class}, in percentage points, paired over {over}: mean ± standard "
        "error, bootstrap and Student's 95 % intervals over draws (*: both exclude zero; not corrected for many "
        "comparisons)."
    )
    return Table(f"paired_differences-k{labels_per_class}", caption, tuple(head), rows)
