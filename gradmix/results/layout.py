"""A table as data, and its rendering as Markdown, LaTeX (booktabs) and, for the report, HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import category

from gradmix.files import write_text

if TYPE_CHECKING:
    import pandas as pd

_WIDE = 12
_FORMULA_STARTS = ("=", "+", "-", "@")


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
    "[": "{[}",  # behind a row's end it would be read as that's argument, as would a star
    "*": "{*}",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "η": r"$\eta$",
    "ρ": r"$\rho$",
}


def visible(text: str) -> str:
    """Return `text` without control characters and invisible marks, some of which turn around what stands behind."""
    return "".join(letter for letter in text if letter in "\n\t" or category(letter)[0] != "C")


def escape_markdown(text: str) -> str:
    """Return `text` on one line with everything that Markdown would interpret escaped."""
    line = " ".join(visible(text).split())
    return "".join(f"\\{letter}" if letter in _MARKDOWN_SPECIAL else letter for letter in line)


def escape_latex(text: str) -> str:
    """Return `text` on one line with LaTeX's special characters escaped (and ±, −, Greek as mathematics)."""
    line = " ".join(visible(text).split())
    return "".join(_LATEX_SPECIAL.get(letter, letter) for letter in line)


def escape_html(text: str) -> str:
    """Return `text` as the report's template escapes it."""
    from markupsafe import escape

    return str(escape(visible(text)))


@dataclass(frozen=True)
class _Texts:
    """All texts of a table as a format needs them: escaped, and marks set."""

    caption: str
    head: list[str]
    groups: list[tuple[str, int]]
    rows: list[list[str]]
    notes: list[str]


@dataclass(frozen=True)
class _Format:
    """How a format escapes text, sets a footnote's mark, and lays a table out."""

    escape: Callable[[str], str]
    mark: str
    lay_out: Callable[[Table, _Texts], list[str]]


def render(table: Table, form: str) -> str:
    r"""Return the table with its caption above and its notes below.

    `form` is md (GitHub's Markdown), tex (a `table` float that needs `\usepackage{booktabs}`) or html (part of a page).
    """
    chosen = _FORMS[form]
    escape = chosen.escape

    def marked(cell: Cell) -> str:
        return escape(cell.text) + (chosen.mark % ",".join(cell.marks) if cell.marks else "")

    texts = _Texts(
        escape(table.caption),
        [escape(head) for head in (table.flat_head if form == "md" else table.head)],
        [(escape(text), span) for text, span in table.groups],
        [[marked(cell) for cell in row] for row in table.rows],
        [f"{chosen.mark % mark} {escape(text)}" for mark, text in table.footnotes]
        + [escape(remark) for remark in table.remarks],
    )
    return "\n".join(chosen.lay_out(table, texts)) + "\n"


def _markdown(table: Table, texts: _Texts) -> list[str]:
    rule = [":--" if i < table.text_columns else "--:" for i in range(len(table.head))]
    rows = [f"| {' | '.join(cells)} |" for cells in (texts.head, rule, *texts.rows)]
    return [texts.caption, "", *rows, *(line for note in texts.notes for line in ("", note))]


def _latex(table: Table, texts: _Texts) -> list[str]:
    def row(cells: Sequence[str]) -> str:
        return f"    {' & '.join(cells)} \\\\"

    columns = "l" * table.text_columns + "r" * (len(table.head) - table.text_columns)
    lines = ["% needs \\usepackage{booktabs}", r"\begin{table}", r"  \centering"]
    lines += [f"  \\caption{{{texts.caption}}}", f"  \\label{{tab:{table.name}}}"]
    if table.is_wide:
        lines.append(r"  \footnotesize\setlength{\tabcolsep}{3pt}")
    lines += [f"  \\begin{{tabular}}{{{columns}}}", r"    \toprule"]
    if texts.groups:
        cells, rules, column = [], [], 1
        for text, span in texts.groups:
            cells.append(f"\\multicolumn{{{span}}}{{c}}{{{text}}}" if text else "&" * (span - 1))
            if text:
                rules.append(f"\\cmidrule(lr){{{column}-{column + span - 1}}}")
            column += span
        lines += [row(cells), f"    {' '.join(rules)}"]
    lines += [row(texts.head), r"    \midrule", *map(row, texts.rows)]
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    if texts.notes:
        lines.append(r"  \par\medskip\footnotesize")
        lines += [f"  {note}\\par" for note in texts.notes]
    return [*lines, r"\end{table}"]


def _html(table: Table, texts: _Texts) -> list[str]:
    wide = ' class="wide"' if table.is_wide else ""
    texted = [' class="text"' if i < table.text_columns else "" for i in range(len(table.head))]
    head = [f'<th scope="col"{a}>{text}</th>' for a, text in zip(texted, texts.head, strict=True)]
    lines = [
        f'<p class="caption">{texts.caption}</p>',
        '<div class="scroll" tabindex="0" role="region" aria-label="Table, scrolls sideways">',
        f'<table aria-label="{texts.caption}"{wide}>',
        "<thead>",
    ]
    if texts.groups:
        cells = [
            f'<th scope="colgroup" colspan="{span}">{text}</th>'
            if text
            else f'<td colspan="{span}"></td>'
            for text, span in texts.groups
        ]
        lines.append(f'<tr class="groups">{"".join(cells)}</tr>')
    lines += [f"<tr>{''.join(head)}</tr>", "</thead>", "<tbody>"]
    for first, *others in texts.rows:
        cells = [f"<td{a}>{text}</td>" for a, text in zip(texted[1:], others, strict=True)]
        lines.append(f'<tr><th scope="row" class="text">{first}</th>{"".join(cells)}</tr>')
    notes = [f'<p class="footnote">{note}</p>' for note in texts.notes]
    return [*lines, "</tbody>", "</table>", "</div>", *notes]


_FORMS = {
    "md": _Format(escape_markdown, "<sup>%s</sup>", _markdown),
    "tex": _Format(escape_latex, r"$^{\mathrm{%s}}$", _latex),
    "html": _Format(escape_html, "<sup>%s</sup>", _html),
}


def write_table(stem: Path, tables: Iterable[Table], frame: pd.DataFrame) -> list[Path]:
    """Write the numbers as `stem`.csv, and the tables made of them below each other as .md and .tex."""
    tables = list(tables)
    written = [write_csv(stem.with_name(f"{stem.name}.csv"), frame)]
    for form in ("md", "tex"):
        path = stem.with_name(f"{stem.name}.{form}")
        write_text(path, "\n".join(render(table, form) for table in tables))
        written.append(path)
    return written


def write_csv(path: Path, frame: pd.DataFrame) -> Path:
    """Write the numbers with full precision and without an index, and return the path.

    A text that a spreadsheet would take for a formula gets a `'` before it.
    """
    plain = frame.copy()
    for name in frame.select_dtypes(exclude=["number", "bool"]):
        plain[name] = frame[name].map(_no_formula)
    write_text(path, plain.to_csv(index=False, lineterminator="\n"))
    return path


def _no_formula(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.replace("\r", " ")  # would end a row
    formula = text.lstrip().startswith(_FORMULA_STARTS) and not _is_number(text)
    return f"'{text}" if formula else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
