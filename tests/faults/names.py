"""Hostile names of classes, domains, methods, titles, files and folders, through to the report."""

import csv
import html.parser
import io
import json
import os
from pathlib import Path

import yaml

from gradmix.config import ConfigError, load_config
from tests.faults.campaign import Case
from tests.faults.damage import miniature_of
from tests.faults.miniature import last_words, snakemake
from tests.faults.raw_data import folders
from tests.faults.verdict import SURVIVED, UNCLEAR, WRONG, BadCaseError, clear

NAMES = (
    "it's",
    'a "quote"',
    "\u00e4\u00f6\u00fc \u00df",
    "\u05d0\u05d1\u05d2 \u202eabc",
    "\U0001f642\U0001f469\u200d\U0001f680",
    "a\nb",
    "a\tb",
    "$x$",
    "$5 and $6",
    "$HOME",
    "50 %",
    "%s %d",
    "{draw}",
    "{",
    "}{",
    "..",
    ".",
    "../up",
    "a/b",
    "a\\b",
    "two words",
    " lead",
    "-r",
    "--help",
    '=HYPERLINK("http://x","y")',
    "+1",
    "@SUM(A1)",
    "<script>alert(1)</script>",
    "<b>&amp;</b>",
    "|a|b|",
    "\\input{x}",
    "a_b^c~d#e",
    "a" * 255,
    "CON",
    "none",
    "null",
    "yes",
    "1e3",
    "\x00",
    "\x1b[31m",
    "\ud83d",
)
SHOWN = ("title", "method title")
PLACES = ("title", "class", "method", "method title", "domain", "output_dir", "label space", "file")


def through_the_workflow(case: Case) -> str:
    """A name in the configuration of the finished miniature: refused, or every file of the report carries it."""
    miniature = miniature_of(case)
    own = miniature.copy(case.folder, whole=True)
    name, place = case.chance.choice(NAMES), case.chance.choice(PLACES)
    case.did(f"{place}: {name[:60]!r}")
    values = yaml.safe_load((own / "mini.yaml").read_text())
    values = _named(values, place, name, own)
    try:
        (own / "mini.yaml").write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    except UnicodeEncodeError:
        case.did("no file can hold it")
        return SURVIVED
    try:
        load_config(values)
    except ConfigError as error:
        return clear(str(error), ["configuration\n"])
    said = snakemake(own)
    if said.status:
        return clear(last_words(said.text), ["mini.yaml", "error in", name])
    out = own / values["output_dir"]
    if not (out / "report.html").is_file():
        raise BadCaseError(WRONG, f"exit status 0, and no report in {out}")
    _tables_are_whole(out)
    _report_is_whole(out / "report.html", name if place in SHOWN else "")
    return SURVIVED


def _named(values: dict, place: str, name: str, own: Path) -> dict:
    text = json.dumps(values)
    quoted = json.dumps(name)
    if place == "title":
        values["title"] = name
    elif place == "class":
        values["label_spaces"]["digits_5_9"][2] = name
        for domain in ("rendered_5_9", "sklearn_5_9"):
            values["domains"][domain]["classes"] = {"7": name}
    elif place == "method":
        values["methods"] = {name: {"recipe": "gradmix"}, "gradmix_hard": {}}
    elif place == "method title":
        values["methods"]["gradmix"] = {"title": name}
    elif place == "domain":
        values = json.loads(text.replace('"rendered_5_9"', quoted))
    elif place == "label space":
        values = json.loads(text.replace('"digits_0_4"', quoted))
    elif place == "output_dir":
        values["output_dir"] = f"results/{name}"
    else:
        target = own / "data" / f"{name}.npz"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(own / "data" / "low_digits.npz", target)
        except (OSError, ValueError):
            pass  # no such name on this file system: it is missing then
        values["domains"]["low_digits"]["file"] = f"{name}.npz"
    return values


def _tables_are_whole(out: Path) -> None:
    for path in sorted(out.glob("tables/*.csv")):
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
        if len({len(row) for row in rows}) != 1:
            raise BadCaseError(WRONG, f"{path.name} has rows of several lengths")
        for cell in (cell for row in rows for cell in row):
            if cell[:1] in ("=", "@") or (cell[:1] in ("+", "-") and not _number(cell)):
                raise BadCaseError(
                    WRONG, f"{path.name}: a spreadsheet takes {cell[:40]!r} for a formula"
                )
    for path in sorted(out.glob("tables/*.md")):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
        if len({line.replace("\\|", "").count("|") for line in lines}) > 1:
            raise BadCaseError(WRONG, f"{path.name} has rows of several lengths")


def _number(cell: str) -> bool:
    try:
        float(cell.split()[0].replace("\u2212", "-"))
    except (ValueError, IndexError):
        return False
    return True


class _Page(html.parser.HTMLParser):
    """Collects tags and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _report_is_whole(path: Path, name: str) -> None:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    if "script" in page.tags:
        raise BadCaseError(WRONG, "the report runs a script")
    if name.strip() and name.split()[0] not in "".join(page.text):
        raise BadCaseError(WRONG, f"the report does not show {name[:40]!r}")


def in_a_tree(case: Case) -> str:
    """A class folder or a file has a hostile name; the domain is prepared with it, or it is named."""
    data = folders(case.folder / "data", case.chance)
    name = case.chance.choice([n for n in NAMES if "\x00" not in n and "\ud83d" not in n])
    of_class = case.chance.random() < 0.5
    old = data.files[1].parent if of_class else data.files[1]
    new = old.parent / (name if of_class else name + old.suffix)
    case.did(f"a {'class folder' if of_class else 'file'} called {name[:60]!r}")
    try:
        new.parent.mkdir(parents=True, exist_ok=True)
        old.rename(new)
    except OSError:
        case.did("no file system has it")
        return SURVIVED
    if of_class:
        data.renamed[name] = "dog"
    try:
        after = data.prepare(case.folder / "mine")
    except ValueError as error:
        return clear(str(error), [name, "mine", repr(name)])
    except Exception as error:
        raise BadCaseError(UNCLEAR, f"{type(error).__name__}: {error}") from None
    expected = (
        4
        if new.parent.parent == data.folder / "images" or new.parent == data.folder / "images"
        else 3
    )
    if len(after) < expected and not name.startswith("."):
        raise BadCaseError(WRONG, f"{len(after)} images instead of {expected}")
    return SURVIVED
