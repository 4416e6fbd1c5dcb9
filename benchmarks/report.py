"""The page of the records: pictures into `docs/performance/`, tables between the markers of `docs/performance.md`.

What stands between ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->`` is made from the records, and nothing else is
touched: a picture and a table per record that has the part, under a caption with hardware, versions, command and n.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import pictures, tables
from benchmarks.measuring import in_words
from benchmarks.record import read_records
from gradmix.files import write_text

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
NOTHING = "Not measured yet."
Row = Mapping[str, Any]
# Packages whose versions a caption names, by part; the others' stand in the record.
_NAMED: dict[str, tuple[str, ...]] = {
    "step": ("torch", "torchjd", "nlopt"),
    "scaling": ("torch", "torchjd", "nlopt"),
    "solvers": ("torch", "nlopt", "scipy"),
    "extraction": ("opencv-python-headless", "av", "torchcodec", "ffmpeg"),
    "overhead": ("torch", "snakemake"),
}


@dataclass(frozen=True)
class Section:
    """A block of the page: the part of the record that it shows, its table, and its picture if it has one."""

    part: str
    table: Callable[[Row], str]
    picture: Callable[[Row], Any] | None = None


SECTIONS: dict[str, Section] = {
    "step": Section(
        "step", lambda r: tables.goals(r) + "\n\n" + tables.step_table(r), pictures.step
    ),
    "memory": Section("step", lambda _: "", pictures.memory),
    "parts": Section("step", tables.parts_table, pictures.parts),
    "profile": Section("profile", tables.profile_table),
    **{
        axis: Section("scaling", partial(tables.scaling_table, axis=axis), pictures.scaling(axis))
        for axis in ("sources", "layers", "parameters")
    },
    "solvers": Section("solvers", tables.any_tables),
    "packs": Section("packs", tables.any_tables, pictures.packs),
    "ranks": Section("ranks", tables.any_tables),
    "extraction": Section("extraction", tables.any_tables, pictures.extraction),
    "data_loading": Section("data_loading", tables.any_tables, pictures.data_loading),
    "trials": Section("trials", tables.any_tables),
    "startup": Section("startup", tables.any_tables, pictures.startup),
    "overhead": Section("overhead", tables.any_tables),
}


def write_report(records: Path, page: Path = PAGE) -> list[Path]:
    """Draw and write everything; the paths that were written."""
    all_records = read_records(records)
    written = []
    for name, section in SECTIONS.items():
        for slug, record in all_records.items():
            result = _result(record, section.part)
            if section.picture is not None and result is not None:
                path = page.with_suffix("") / f"{name}-{slug}.svg"
                pictures.write_svg(section.picture(result), path, result)
                written.append(path)
    write_text(page, rewritten(page.read_text(encoding="utf-8"), all_records, page.stem))
    return [*written, page]


def rewritten(text: str, records: Mapping[str, Row], folder: str = "performance") -> str:
    """The page's text with every marked block made anew.

    Raises:
        ValueError: if a block is missing or there is an unknown one.
    """
    there = re.findall(r"<!-- begin: (\w+) -->", text)
    if sorted(there) != sorted(SECTIONS):
        wrong = sorted(set(there) ^ set(SECTIONS))
        raise ValueError(
            f"blocks of the page are missing, unknown or there twice: {wrong or there}"
        )
    for name in SECTIONS:
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        pattern = re.compile(f"{begin}.*?{end}", re.DOTALL)
        made = f"{begin}\n{block(name, records, folder)}\n{end}"
        text, count = pattern.subn(lambda _, made=made: made, text)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"block {name} has no end, or two")
    return text


def block(name: str, records: Mapping[str, Row], folder: str) -> str:
    """What one block says about all records."""
    section = SECTIONS[name]
    texts = []
    for slug, record in records.items():
        result = _result(record, section.part)
        if result is None:
            reason = _why_not(record, section.part)
            if reason:
                texts.append(f"On {in_words(record['hardware'])}: {reason}")
            continue
        if section.picture is not None:
            texts.append(f"![{name}, {slug}]({folder}/{name}-{slug}.svg)")
        texts.append(caption(record, section.part))
        texts.append(section.table(result))
    return "\n\n".join(text for text in texts if text) or NOTHING


def caption(record: Row, part: str) -> str:
    """Hardware, threads, versions, command and n of a part."""
    measured = record["parts"][part]
    versions = record["versions"]
    names = ["python", *_NAMED.get(part, ("torch",))]
    said = ", ".join(f"{name} {versions[name]}" for name in names if name in versions)
    threads = f", {measured['threads']} thread" + ("s" if measured["threads"] != 1 else "")
    host = threads if record["hardware"]["device"] == "cpu" else ""
    numbers = sorted(set(_n_of(measured["result"])))
    end = ""
    if numbers:
        last = f" to {numbers[-1]}" if len(numbers) > 1 else ""
        end = f"; n = {numbers[0]}{last}, medians"
    return f"*{in_words(record['hardware'])}{host}; {said}; `{measured['command']}`{end}.*"


def _n_of(value: Any) -> list[int]:
    if isinstance(value, Mapping):
        own = [value["n"]] if isinstance(value.get("n"), int) else []
        return own + [n for item in value.values() for n in _n_of(item)]
    if isinstance(value, list):
        return [n for item in value for n in _n_of(item)]
    return []


def _result(record: Row, part: str) -> Any:
    measured = record["parts"].get(part)
    return measured["result"] if measured and measured["status"] == "measured" else None


def _why_not(record: Row, part: str) -> str:
    tried = record["parts"].get(part)
    if tried is None:
        return ""
    if tried["status"] == "failed":
        return f"failed ({tried['error']})."
    # What belongs to the host is not missed in a GPU's record.
    return "" if record["hardware"]["device"] != "cpu" else f"not measured ({tried['missing']})."
