"""Anybody's own images or clips by a table: a CSV with the columns path, label, and optionally group and split."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradmix.domains.files.listing import Listing, MediaFile
from gradmix.domains.files.tree import (
    copies_elsewhere,
    inventory_of,
    leads_out,
    newest,
    on_disk,
    scan,
    without,
)
from gradmix.domains.names import NO_UTF8, printable
from gradmix.files import sha256_of

_REQUIRED = ("path", "label")
_KNOWN = (*_REQUIRED, "group", "split")


@dataclass(frozen=True)
class _Row:
    number: int
    split: str
    file: MediaFile


def raw_files(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """List the table, and the newest file of the folder."""
    table, folder = _places(settings, data_dir)
    return [path for path in (table,) if os.path.isfile(path)] + newest(folder, scan(folder))


def laid_by_hand(settings: Mapping[str, Any], data_dir: Path) -> list[Path]:
    """List the table and the folder."""
    return list(_places(settings, data_dir))


def inventory(settings: Mapping[str, Any], data_dir: Path) -> str:
    """Hash names and sizes of the files in the folder."""
    return inventory_of(scan(_places(settings, data_dir)[1]))


def listing(settings: Mapping[str, Any], data_dir: Path, wanted: Collection[str] | None) -> Listing:
    """List the files of the table's rows, or of the rows of `split`, where it is given.

    Paths are relative to `folder` (by default the table's own) and may not lead out of it.

    Raises:
        ValueError: the table is missing or has no such column or split; or a row has an empty cell, a
            path that leads out of the folder, or one that stood there before (names file and row).
    """
    table, folder = _places(settings, data_dir)
    rows = list(_rows(table, folder))
    split = settings.get("split")
    splits = sorted({row.split for row in rows} - {""})
    if split is not None and split not in splits:
        known = ", ".join(splits) or "none"
        raise ValueError(f"{table}: no row is of split {split!r}; there are {known}")
    mine = [row.file for row in rows if split is None or row.split == split]
    mine = [file for file in mine if wanted is None or file.class_name in wanted]
    present, missing = on_disk(mine)
    # A test set keeps its files; the other parts lose what it holds too.
    others = {}
    if split is not None and "test" not in split.lower():
        others = {
            f"split {other}": [row.file for row in rows if row.split == other]
            for other in splits
            if "test" in other.lower()
        }
    copies = copies_elsewhere(present, others)
    return Listing(
        kind=settings["kind"],
        files=without(present, copies),
        left_out=[*missing, *copies.values()],
        sources={table.name: sha256_of(table)},
    )


def _places(settings: Mapping[str, Any], data_dir: Path) -> tuple[Path, Path]:
    table = data_dir / str(settings["file"])
    folder = settings.get("folder")
    return table, data_dir / str(folder) if folder else table.parent


def _rows(table: Path, folder: Path) -> Iterator[_Row]:
    if not os.path.isfile(table):
        raise ValueError(f"{table} does not exist (`file` is relative to data_dir)")
    first: dict[str, _Row] = {}
    with open(table, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        number = 1
        try:
            _check_header(table, reader.fieldnames or [])
            # The header is row 1, as in a spreadsheet.
            for number, cells in enumerate(reader, start=2):
                row = _row(table, folder, number, cells)
                other = first.setdefault(row.file.original, row)
                if other is not row:
                    raise ValueError(_twice(table, other, row))
                yield row
        except csv.Error as error:
            raise ValueError(f"{table}, after row {number}: {error}") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{table}: {NO_UTF8}") from error
    if not first:
        raise ValueError(f"{table}: has no row")


def _check_header(table: Path, columns: Sequence[str]) -> None:
    missing = [column for column in _REQUIRED if column not in columns]
    unknown = [column for column in columns if column not in _KNOWN]
    twice = [column for column in columns if columns.count(column) > 1]
    wrong = [
        *(f"lacks the column {column!r}" for column in missing),
        *(f"has a column {column!r}" for column in unknown),
        *(f"has two columns {column!r}" for column in twice),
    ]
    if wrong:
        raise ValueError(f"{table}: {wrong[0]}; its header must be path,label[,group][,split]")


def _row(table: Path, folder: Path, number: int, cells: Mapping[str | None, Any]) -> _Row:
    where = f"{table}, row {number}"
    if None in cells or None in cells.values():
        raise ValueError(f"{where}: has another number of cells than the header")
    values = {str(column): str(cell).strip() for column, cell in cells.items()}
    for column in _REQUIRED:
        if not values[column]:
            raise ValueError(f"{where}: {column} is empty")
    for column, value in values.items():
        if printable(value) != value:
            raise ValueError(f"{where}: {column} has a control character: {value[:80]!r}")
    path = Path(values["path"])
    if leads_out(path):
        raise ValueError(f"{where}: {values['path']} leads out of {folder}")
    original = path.as_posix()
    group = values.get("group", "")
    file = MediaFile(folder / path, values["label"], original, group)
    return _Row(number, values.get("split", ""), file)


def _twice(table: Path, first: _Row, second: _Row) -> str:
    what = f"{table}, row {second.number}: {second.file.original} stands in row {first.number} too"
    if first.file.class_name != second.file.class_name:
        return f"{what}, as {first.file.class_name!r} there and {second.file.class_name!r} here"
    if first.split != second.split:
        return f"{what}, in split {first.split!r} there and {second.split!r} here"
    return what
