"""The table of data set sizes: sources, V, H, U, test, and what pseudo-labels added."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from gradmix.results.layout import Cell, Table, count_range
from gradmix.results.records import read_json

SET_TITLES = {
    "V": "V, few labelled target images",
    "H": "H, hyper-validation",
    "U": "U, unlabelled",
    "left_out": "target images left out",
    "test": "test",
    "V_enlarged": "V enlarged with pseudo-labels",
    "S_u_hard": "S_u, hard pseudo-labels",
    "S_u_soft": "S_u, soft pseudo-labels",
}
_COLUMNS = ["set", "domain", "label_space", "labels_per_class", "draw", "images"]


def read_domains(domain_files: Iterable[str | Path]) -> dict[str, dict[str, Any]]:
    """Return {domain name: domain.json}."""
    infos = {}
    for file in domain_files:
        info = read_json(file)
        for key in ("name", "label_space", "count"):
            if key not in info:
                raise ValueError(f"{file}: the record lacks {key}")
        infos[info["name"]] = info
    return infos


def read_splits(split_files: Iterable[str | Path]) -> list[dict[str, Any]]:
    """Return the split records by k and draw."""
    splits = []
    for file in split_files:
        split = read_json(file)
        for key in ("labels_per_class", "draw", "target", "V", "H", "U", "test"):
            if key not in split:
                raise ValueError(f"{file}: the record lacks {key}")
        splits.append(split)
    return sorted(splits, key=lambda split: (split["labels_per_class"], split["draw"]))


def key_of_file(file: str | Path, record: dict[str, Any]) -> tuple[int, int]:
    """Return (k, draw) of a record: from the record, or else from its path `.../<k>/<draw>[.enlarged].json` or
    `.../<k>/<draw>/<name>.json`. Raises `ValueError` if neither says.
    """
    if "labels_per_class" in record and "draw" in record:
        return int(record["labels_per_class"]), int(record["draw"])
    parts = Path(file).with_name(Path(file).name.split(".")[0]).parts
    for first, second in ((-2, -1), (-3, -2)):
        if len(parts) >= -first and parts[first].isdigit() and parts[second].isdigit():
            return int(parts[first]), int(parts[second])
    raise ValueError(f"{file}: neither the record nor its path says labels_per_class and draw")


def data_sizes(
    split_files: Iterable[str | Path],
    enlarged_files: Iterable[str | Path],
    domain_files: Iterable[str | Path],
) -> pd.DataFrame:
    """Return the number of images: columns set, domain, label_space, labels_per_class, draw, images.

    A source's images are those of its domain less the ones left out because the target has the same image.
    """
    domains = read_domains(domain_files)
    rows: list[tuple[str, str, str, int, int, int]] = []
    targets: dict[tuple[int, int], tuple[str, str]] = {}
    for split in read_splits(split_files):
        key = (split["labels_per_class"], split["draw"])
        target, space = split["target"], split.get("label_space", "")
        targets[key] = (target, space)
        for position, (source, left_out) in enumerate(split.get("source_left_out", {}).items()):
            if source in domains:
                images = domains[source]["count"] - len(left_out)
                name = f"S{position + 1}"
                rows.append((name, source, domains[source]["label_space"], *key, images))
        for name in ("V", "H", "U", "left_out", "test"):
            domain = split.get("test_domain", target) if name == "test" else target
            rows.append((name, domain or target, space, *key, len(split.get(name, []))))
    for file in enlarged_files:
        record = read_json(file)
        key = key_of_file(file, record)
        target, space = targets.get(key, ("", ""))
        for name, rows_key in (
            ("V_enlarged", "V"),
            ("S_u_hard", "S_u_hard"),
            ("S_u_soft", "S_u_soft"),
        ):
            if rows_key in record:
                rows.append((name, target, space, *key, len(record[rows_key])))
    return pd.DataFrame(rows, columns=_COLUMNS)


def data_table(sizes: pd.DataFrame, *, has_clips: bool = False) -> Table:
    """Return the table of set sizes: a row per set, a column per k, a range where draws differ.

    `has_clips`: whether the target's images are frames of clips, which the caption then says.
    """
    ks = sorted(set(sizes["labels_per_class"]))
    rows = []
    for (name, domain, space), images in sizes.groupby(
        ["set", "domain", "label_space"], sort=False
    ):
        if name == "left_out" and not images["images"].any():
            continue
        title = SET_TITLES.get(str(name), f"{name}, source")
        row = [Cell(title), Cell(str(domain)), Cell(str(space))]
        for labels_per_class in ks:
            counts = images.loc[images["labels_per_class"] == labels_per_class, "images"]
            row.append(Cell(count_range([int(count) for count in counts])))
        rows.append(row)
    head = ("Set", "Domain", "Label space", *(f"k = {labels_per_class}" for labels_per_class in ks))
    counted = "Images per set (of clips, their frames)" if has_clips else "Images per set"
    caption = f"{counted}; a range where draws differ."
    return Table("data", caption, head, rows, text_columns=3)
