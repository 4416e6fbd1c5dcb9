"""A table as data, and its rendering as Markdown and LaTeX (booktabs). The report renders the same data as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

_WIDE = 12


@dataclass(frozen=True)
class Cell:
    """What stands in one cell: plain text, and the letters of its footnotes."""

    text: str
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table: column heads, rows of cells (the first cell names the row), and footnotes by mark.

    `groups` are heads above the heads, each with the number of columns that it spans; all columns, or none at all.
    """

    name: str
    caption: str
    head: tuple[str, ...]
    rows: list[list[Cell]]
    footnotes: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    text_columns: int = 1
    groups: tuple[tuple[str, int], ...] = ()

    @property
    def is_wide(self) -> bool:
        """Whether it has more columns than a page holds in type of the usual size."""
        return len(self.head) > _WIDE

    @property
    def flat_head(self) -> tuple[str, ...]:
        """The heads, each with its group's before it, for formats in which no cell spans columns."""
        above = [group for group, span in self.groups for _ in range(span)]
        if not above:
            return self.head
        return tuple(f"{a}, {b}" if a else b for a, b in zip(above, self.head, strict=True))


def percent(mean: float | None, error: float | None, *, signed: bool = False) -> str:
    """Return `91.17 ± 0.37`, without the error where there is none, and a dash where there is no number."""
    if mean is None:
        return "–"
    text = f"{mean:+z.2f}" if signed else f"{mean:z.2f}"
    text = text.replace("-", "−")
    return text if error is None else f"{text} ± {error:.2f}"


def count_range(counts: Sequence[int]) -> str:
    """Return `1,234`, or `1,200–1,234` where the counts differ, or a dash where there is none."""
    if not counts:
        return "–"
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def mark_letter(position: int) -> str:
    """Return a, b, ... z, aa, ab, ... for 0, 1, ..."""
    letters = ""
    position += 1
    while position:
        position, rest = divmod(position - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters


_MARKDOWN_SPECIAL = "\\`*_{}[]<>#|~$&"
_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "η": r"$\eta$",
    "ρ": r"$\rho$",
}


def escape_markdown(text: str) -> str:
    """Return `text` on one line with everything that Markdown would interpret escaped."""
    line = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in _MARKDOWN_SPECIAL else letter for letter in line)


def escape_latex(text: str) -> str:
    """Return `text` on one line with LaTeX's special characters escaped (and ±, −, Greek as mathematics)."""
    line = " ".join(text.split())
    return "".join(_LATEX_SPECIAL.get(letter, letter) for letter in line)


def to_markdown(table: Table) -> str:
    """Return the table as a GitHub-flavoured Markdown table with its caption above and its notes below."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def cell(content: Cell) -> str:
        marks = f"<sup>{','.join(content.marks)}</sup>" if content.marks else ""
        return escape_markdown(content.text) + marks

    rule = [":--" if i < table.text_columns else "--:" for i in range(len(table.head))]
    lines = [
        escape_markdown(table.caption),
        "",
        line([escape_markdown(h) for h in table.flat_head]),
    ]
    lines += [line(rule), *(line([cell(content) for content in row]) for row in table.rows)]
    notes = [f"<sup>{mark}</sup> {escape_markdown(text)}" for mark, text in table.footnotes]
    for note in [*notes, *(escape_markdown(remark) for remark in table.remarks)]:
        lines += ["", note]
    return "\n".join(lines) + "\n"


def _latex_groups(table: Table) -> list[str]:
    """The line of heads above the heads with a rule below each, where there are any."""
    if not table.groups:
        return []
    cells, rules, column = [], [], 1
    for text, span in table.groups:
        cells.append(
            f"\\multicolumn{{{span}}}{{c}}{{{escape_latex(text)}}}" if text else "&" * (span - 1)
        )
        if text:
            rules.append(f"\\cmidrule(lr){{{column}-{column + span - 1}}}")
        column += span
    return [f"    {' & '.join(cells)} \\\\", f"    {' '.join(rules)}"]


def to_latex(table: Table) -> str:
    r"""Return the table as a LaTeX `table` float; it needs `\usepackage{booktabs}`."""

    def line(cells: Sequence[str]) -> str:
        return f"    {' & '.join(cells)} \\\\"

    def cell(content: Cell) -> str:
        marks = f"$^{{\\mathrm{{{','.join(content.marks)}}}}}$" if content.marks else ""
        return escape_latex(content.text) + marks

    columns = "l" * table.text_columns + "r" * (len(table.head) - table.text_columns)
    lines = ["% needs \\usepackage{booktabs}", r"\begin{table}", r"  \centering"]
    lines += [f"  \\caption{{{escape_latex(table.caption)}}}", f"  \\label{{tab:{table.name}}}"]
    if table.is_wide:
        lines.append(r"  \footnotesize\setlength{\tabcolsep}{3pt}")
    lines += [f"  \\begin{{tabular}}{{{columns}}}", r"    \toprule"]
    lines += _latex_groups(table)
    lines += [line([escape_latex(head) for head in table.head]), r"    \midrule"]
    lines += [line([cell(content) for content in row]) for row in table.rows]
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    notes = [f"$^{{\\mathrm{{{mark}}}}}$ {escape_latex(text)}" for mark, text in table.footnotes]
    notes += [escape_latex(remark) for remark in table.remarks]
    if notes:
        lines.append(r"  \par\medskip\footnotesize")
        lines += [f"  {note}\\par" for note in notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"
