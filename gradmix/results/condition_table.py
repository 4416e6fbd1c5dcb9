"""What every method gains or loses where it learns from other sources: differences between conditions."""

from __future__ import annotations

from collections.abc import Sequence

from gradmix.results.accuracy import (
    CLEAR_STUDENT,
    Block,
    Summaries,
    by_draw,
    clear_by_k,
    columns_k,
    difference_text,
    side_by_side,
)
from gradmix.results.conditions import Part
from gradmix.results.layout import Cell, Table
from gradmix.results.reading import K, listing
from gradmix.results.statistics import paired_difference


def condition_differences(first: Part, other: Part, column: str = "accuracy") -> Summaries:
    """Return {(method, k): accuracy in `other` minus that in `first`, points}, paired over draws, the same k.

    Rows of no condition have the same runs in both and are left out. Those of one k are a column (see `mark_clear`).
    """
    runs = {row["name"]: row["run"] for row in first.methods}
    trained = {row["name"] for row in other.methods if row["run"] != runs.get(row["name"])}
    reference = by_draw(first.metrics, column)
    cells = {}
    for key, values in by_draw(other.metrics, column).items():
        difference = paired_difference(values, reference.get(key, {}))
        if key[0] in trained and difference is not None:
            cells[key] = difference
    return clear_by_k(cells)


def fall_sentences(
    first: Part, other: Part, *, column: str = "accuracy", unit: str = ""
) -> list[str]:
    """Return what a condition costs at its fewest and its most labels: every method minus itself in the first one."""
    cells = condition_differences(first, other, column)
    ks, sentences = columns_k(cells), []
    for k in dict.fromkeys([*ks[:1], *ks[-1:]]):
        groups: dict[str, list[str]] = {
            "clearly lower": [],
            "clearly higher": [],
            "not clear": [],
        }
        for row in other.methods:
            difference = cells.get((row["name"], k))
            if difference is None:
                continue
            side = "clearly higher" if difference.mean > 0 else "clearly lower"
            text = difference_text(difference).rstrip("*")
            groups[side if difference.clear else "not clear"].append(f"{row['title']} {text}")
        parts = [f"{side}: {listing(texts)}" for side, texts in groups.items() if texts]
        sentences.append(
            f"{other.title} minus {first.title}, {K}{k}, points{unit} with Student's 95 % interval: {'; '.join(parts)}."
        )
    return sentences


def condition_table(parts: Sequence[Part], *, column: str, name: str, what: str) -> Table:
    """Return the table of what every method gains or loses in each condition, beside the first."""
    first = parts[0]
    compared = [(part.title, condition_differences(first, part, column)) for part in parts[1:]]
    blocks = [
        Block(title, {key: Cell(difference_text(cell)) for key, cell in cells.items()})
        for title, cells in compared
    ]
    _, head, rows, groups = side_by_side(first.methods, blocks)
    most = max((cell.count for _, cells in compared for cell in cells.values()), default=0)
    caption = (
        f"{what} minus that of the same method in the condition {first.title}, in percentage points, paired over "
        f"{most} draw{'s' if most != 1 else ''} at the same k, with Student's 95 % interval ({CLEAR_STUDENT})."
    )
    return Table(name, caption, tuple(head), rows, groups=tuple(groups))
