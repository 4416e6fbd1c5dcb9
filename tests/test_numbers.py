"""Numbers in README.md and docs/ are those of the committed tables (docs/results/*/tables), at their printed rounding.

Cells of a results page's tables are looked up among what its tables hold and what runs.csv gives. Numbers in prose
carry a mark that names their source, and are computed again; CONTRIBUTING.md has the scheme.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from gradmix.methods.recipes import METHODS, recipe_of
from gradmix.results.statistics import Summary, summarise

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
# The page of faults counts cases; it has no runs.
PAGES = sorted(page for page in RESULTS.glob("*.md") if page.stem != "faults")
MARKED = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

NUMBER = r"[+−-]?\d[\d,]*(?:\.\d+)?"
# 81.3, 81.3 ± 1.0, +9.5 [+5.7, +13.4], +9.5 ± 1.4 [+5.7, +13.4]
PRINTED = (
    rf"(?P<mean>{NUMBER})(?: ± (?P<error>{NUMBER}))?(?: \[(?P<low>{NUMBER}), (?P<high>{NUMBER})\])?"
)
MARK = re.compile(
    rf"(?:{PRINTED})?(?:\*\*| %| points)*<!-- (?!begin:|end:)(?P<folder>[\w/.-]+): (?P<words>.*?) -->"
)
# Columns of runs.csv and of an ablation's table, and what makes them percent.
MEASURED = {
    "accuracy": 100,
    "accuracy_statistics_on_V": 100,
    "accuracy_per_video": 100,
    "accuracy_percent": 1,
    "hyper_validation_accuracy": 100,
    "mean_weight": 1,
    "mean_weight_second_half": 1,
    "seconds": 1,
}
Values = dict[int, float]  # draw -> value


@dataclass(frozen=True)
class Printed:
    """A number as it is printed: its mean, and standard error and interval where they are."""

    parts: tuple[str | None, ...]

    @classmethod
    def of(cls, match: re.Match[str]) -> "Printed":
        return cls(tuple(match[name] for name in ("mean", "error", "low", "high")))

    def agrees(self, parts: tuple[float | None, ...], slack: float = 1e-9) -> bool:
        """Whether every printed part is `parts`' at the printed rounding."""
        return all(
            text is None or (value is not None and _rounds_to(value, text, slack))
            for text, value in zip(self.parts, parts, strict=True)
        )


def _rounds_to(value: float, text: str, slack: float) -> bool:
    decimals = len(text.partition(".")[2])
    return abs(value - _float(text)) <= 0.5 * 10**-decimals + slack


def _float(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


def _parts(summary: Summary) -> tuple[float | None, ...]:
    low, high = summary.student or (None, None)
    return summary.mean, summary.error, low, high


@dataclass
class Table:
    """Values by method, condition, k and draw."""

    values: dict[str, dict[tuple[str, str, int], Values]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)

    def one(self, column: str, method: str, condition: str, k: int) -> Values:
        """One row's values; `AssertionError` where there is none."""
        of_column = self.values.get(column, {})
        found = of_column.get((method, condition, k))
        own = {at for name, at, _ in of_column if name == method}
        if own == {""} and condition in {at for _, at, _ in of_column}:
            # A method that learns from no source stands once, under no condition.
            found = of_column.get((method, "", k))
        assert found, f"no {column} of {method!r}, condition {condition!r}, k = {k}"
        return found


@cache
def read_table(path: Path) -> Table:
    """A runs.csv, an ablation's table, or weights.csv, whose rows are METHOD/SOURCE."""
    assert path.is_file(), f"there is no {path}"
    table = Table()
    for row in _rows(path):
        name = f"{row['method']}/{row['source']}" if row.get("source") else row["method"]
        key = (name, row.get("condition") or "", int(row["labels_per_class"]))
        if row.get("title"):
            table.titles[row["method"]] = row["title"]
        for column, factor in MEASURED.items():
            if row.get(column):
                measure = "accuracy" if column == "accuracy_percent" else column
                draws = table.values.setdefault(measure, {}).setdefault(key, {})
                assert int(row["draw"]) not in draws, f"{path}: {key} twice"
                draws[int(row["draw"])] = factor * float(row[column])
    return table


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _difference(values: Values, reference: Values) -> Summary | None:
    common = [values[draw] - reference[draw] for draw in values if draw in reference]
    return summarise(common) if common else None


# Marks in prose: <!-- FOLDER[/TABLE]: accuracy METHOD [CONDITION] k=K -->, <!-- ...: minus METHOD REFERENCE ... --> or
# <!-- ...: change METHOD CONDITION BEFORE k=K -->


def marked(folder: str, words: str, results: Path = RESULTS) -> tuple[float | None, ...]:
    """What a mark says: mean, standard error and Student's interval, from the committed runs."""
    name, _, table_name = folder.partition("/")
    table = read_table(results / name / "tables" / f"{table_name or 'runs'}.csv")
    kind, *rest = words.split()
    assert re.fullmatch(r"k=\d+", words.split()[-1]), f"a mark ends with k=K: {words!r}"
    names, k = rest[:-1], int(rest[-1][2:])
    if kind == "change":  # of one method, from one condition to another
        method, condition, before = names
        values = [table.one("accuracy", method, at, k) for at in (condition, before)]
        summary = _difference(*values)
        assert summary is not None, f"no draw that both have: {words!r}"
        return _parts(summary)
    methods = 2 if kind == "minus" else 1
    assert kind == "minus" or kind in table.values, f"no {kind!r} in {folder}"
    assert len(names) in (methods, methods + 1), f"too few or too many words: {words!r}"
    condition = names[methods] if len(names) > methods else ""
    if kind == "minus":
        both = [table.one("accuracy", method, condition, k) for method in names[:2]]
        summary = _difference(*both)
    else:
        summary = summarise(table.one(kind, names[0], condition, k).values())
    assert summary is not None, f"no draw that both have: {words!r}"
    return _parts(summary)


def wrong_marks(text: str, results: Path = RESULTS) -> list[str]:
    """What is wrong with the marks of a page, a line each."""
    wrong = []
    for mark in MARK.finditer(text):
        where = f"line {text.count(chr(10), 0, mark.start()) + 1}: {mark[0]}"
        if mark["mean"] is None:
            wrong.append(f"{where} stands behind no number")
            continue
        try:
            parts = marked(mark["folder"], mark["words"], results)
        except AssertionError as error:
            wrong.append(f"{where}: {str(error).splitlines()[0]}")
            continue
        if not Printed.of(mark).agrees(parts):
            wrong.append(f"{where}, but the runs say {_shown(parts)}")
    return wrong


def _shown(parts: tuple[float | None, ...]) -> str:
    return ", ".join("–" if part is None else f"{part:.2f}" for part in parts)


@pytest.mark.parametrize("page", MARKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_marked_numbers(page):
    assert wrong_marks(page.read_text(encoding="utf-8")) == []


# Cells of tables.


@dataclass(frozen=True)
class Entry:
    """A value of a results folder, with its row's title and its k where they are known."""

    title: str | None
    k: int | None
    parts: tuple[float | None, ...]
    slack: float = 1e-9


def entries_of(page: Path) -> list[Entry]:
    """What a page's tables may print: runs, differences of runs, and committed and linked tables' own cells."""
    folder = page.with_suffix("") / "tables"
    assert folder.is_dir(), f"{page.name} has no tables: {folder}"
    entries: list[Entry] = []
    titles = {method: recipe_of(method).title for method in METHODS}
    titles |= {
        row["method"]: row["title"]
        for path in folder.glob("*.csv")
        for row in _rows(path)
        if row.get("method") and row.get("title")
    }
    for path in [folder / "runs.csv", *folder.glob("ablation-*.csv")]:
        if path.is_file():
            table = read_table(path)
            entries += _of_runs(table, titles | table.titles)
    links = re.findall(r"\]\(([^)]+\.csv)\)", page.read_text(encoding="utf-8"))
    for path in {*folder.glob("*.csv"), *((page.parent / link).resolve() for link in links)}:
        entries += _of_csv(path)
    for path in folder.glob("*.md"):
        # Printed already, so that a page may round what is rounded.
        for cell in cells_of(path.read_text(encoding="utf-8")):
            parts = tuple(None if part is None else _float(part) for part in cell.printed.parts)
            entries.append(Entry(cell.title, cell.k, parts, slack=0.005 + 1e-9))
    return entries


def _of_runs(table: Table, titles: dict[str, str]) -> Iterator[Entry]:
    for rows in table.values.values():
        for (method, condition, k), values in rows.items():
            title = titles.get(method)
            yield Entry(title, k, _parts(summarise(values.values())))
            for (other, at, other_k), reference in rows.items():
                # Methods under one condition (of which no source means every one), or one method under two.
                together = at == condition or "" in (at, condition)
                if other_k == k and (together if other != method else at != condition):
                    summary = _difference(values, reference)
                    if summary is not None:
                        yield Entry(title, k, _parts(summary))


def _of_csv(path: Path) -> Iterator[Entry]:
    for row in _rows(path):
        title = row.get("title") or row.get("variant")
        k = int(row["labels_per_class"]) if row.get("labels_per_class") else None
        values = [row[c] for c in row if re.fullmatch(r"-?\d+\.\d+(e-?\d+)?", row[c] or "")]
        for mean, error in pairwise([*map(float, values), 0.0]):
            yield Entry(title, k, (mean, error, None, None))


@dataclass(frozen=True)
class Cell:
    """A number in a markdown table."""

    title: str
    k: int | None
    printed: Printed
    text: str


def cells_of(text: str) -> list[Cell]:
    """Cells that are nothing but a number with decimals, with their row's title and the k of their column."""
    found: list[Cell] = []
    header: list[int | None] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            header = []
            continue
        row = [cell.strip() for cell in line.strip().strip("|").split(" |")]
        if not header:
            header = list(_ks_of(row))
            continue
        for k, cell in zip(header[1:], row[1:], strict=True):
            plain = cell.replace("\\", "").strip("*")
            match = re.fullmatch(PRINTED, plain)
            if match and "." in match["mean"]:
                found.append(Cell(row[0].strip("* "), k, Printed.of(match), cell))
    return found


def _ks_of(header: list[str]) -> Iterator[int | None]:
    k = None  # a column without one belongs to the last one that has it
    for cell in header:
        named = re.search(r"\bk = (\d+)", cell)
        k = int(named[1]) if named else k
        yield k


def strange_cells(page: Path) -> list[str]:
    """Cells of a page's tables that no entry accounts for."""
    entries = entries_of(page)
    known = {entry.title for entry in entries}
    return [
        f"{cell.title}, k = {cell.k}: {cell.text}"
        for cell in cells_of(page.read_text(encoding="utf-8"))
        if not any(
            cell.printed.agrees(entry.parts, entry.slack)
            for entry in entries
            if (cell.title not in known or entry.title == cell.title)
            and (cell.k is None or entry.k in (None, cell.k))
        )
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tables_of_results_pages(page):
    assert strange_cells(page) == []


def test_pages_hold_what_is_tested():
    assert all(cells_of(page.read_text(encoding="utf-8")) for page in PAGES)
    assert any(MARK.search(page.read_text(encoding="utf-8")) for page in PAGES)


# The tests' own tests: what must be found is found.

RUNS = """method,condition,labels_per_class,draw,accuracy,seconds
ours,,2,0,0.90,10
ours,,2,1,0.92,12
plain,,2,0,0.80,5
plain,,2,1,0.86,5
ours,noisy,2,0,0.70,10
ours,quiet,2,0,0.80,10
"""


@pytest.fixture
def results(tmp_path):
    tables = tmp_path / "small" / "tables"
    tables.mkdir(parents=True)
    (tables / "runs.csv").write_text(RUNS)
    return tmp_path


def test_right_marks_pass(results):
    text = """91.0 ± 1.0<!-- small: accuracy ours k=2 -->, **+8.0 [−17.4, +33.4]**<!-- small: minus ours plain k=2 -->,
    70 %<!-- small: accuracy ours noisy k=2 -->, −10<!-- small: change ours noisy quiet k=2 -->,
    +0.0<!-- small: minus ours plain quiet k=2 -->, 11 ± 1<!-- small: seconds ours k=2 -->"""
    assert wrong_marks(text, results) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("91.1<!-- small: accuracy ours k=2 -->", "the runs say 91.00"),
        ("91.0 ± 1.1<!-- small: accuracy ours k=2 -->", "the runs say"),
        ("+8.0 [−17.4, +33.5]<!-- small: minus ours plain k=2 -->", "the runs say"),
        (
            "70.0 ± 1.0<!-- small: accuracy ours noisy k=2 -->",
            "the runs say",
        ),  # a single draw has none
        ("91.0<!-- small: accuracy theirs k=2 -->", "no accuracy of 'theirs'"),
        ("91.0<!-- small: accuracy ours loud k=2 -->", "condition 'loud'"),
        ("91.0<!-- small: accuracy ours k=3 -->", "k = 3"),
        ("91.0<!-- small: accuracy ours -->", "ends with k=K"),
        ("91.0<!-- small: speed ours k=2 -->", "no 'speed'"),
        ("91.0<!-- large: accuracy ours k=2 -->", "there is no"),
        ("much<!-- small: accuracy ours k=2 -->", "behind no number"),
    ],
)
def test_wrong_marks_are_told(results, text, message):
    (told,) = wrong_marks(text, results)
    assert message in told


def test_wrong_cells_are_told(results):
    page = results / "small.md"
    head = "| Method | k = 2 | minus plain |\n| :-- | --: | --: |\n"
    page.write_text(head + "| Ours | 91.00 ± 1.00 | **+8.0 [−17.4, +33.4]** |\n")
    assert strange_cells(page) == []
    page.write_text(head + "| Ours | 91.00 ± 1.10 | +8.1 |\n")
    assert len(strange_cells(page)) == 2


def test_a_page_without_tables_fails(tmp_path):
    (tmp_path / "lonely.md").write_text("| a | 1.0 |\n")
    with pytest.raises(AssertionError, match="has no tables"):
        strange_cells(tmp_path / "lonely.md")
