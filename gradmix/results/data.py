"""Sizes of sources, V, H, U and test, what pseudo-labels added, and what was left out while domains were prepared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gradmix.results.layout import Cell, Table, count_range
from gradmix.results.records import key_of_record, read_json

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
NAMED = 3
"""How many left-out files of one reason are named; domain.json lists all."""

_COLUMNS = ["set", "domain", "label_space", "labels_per_class", "draw", "images"]


def data_sizes(
    splits: Iterable[Mapping[str, Any]],
    enlarged_files: Iterable[str | Path],
    domains: Mapping[str, Mapping[str, Any]],
) -> pd.DataFrame:
    """Return the number of images: columns set, domain, label_space, labels_per_class, draw, images.

    A source's images are those of its domain less the ones left out because the target has the same image.
    """
    rows: list[tuple[str, str, str, int, int, int]] = []
    targets: dict[tuple[int, int], tuple[str, str]] = {}
    for split in splits:
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
        key = key_of_record(file, record)
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


def left_out_sentences(domains: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return per domain with files left out its name, a sentence, and per reason the count and the first names.

    Args:
        domains: {domain name: domain.json}, in which `left_out` (a list of {"original", "reason"}) may be missing.
    """
    parts = []
    for name, info in domains.items():
        files: list[Mapping[str, Any]] = list(info.get("left_out") or [])
        by_reason: dict[str, list[str]] = {}
        for file in files:
            reason = str(file.get("reason") or "no reason given")
            by_reason.setdefault(reason, []).append(str(file.get("original", "")))
        if not files:
            continue
        one = len(files) == 1
        kept = f", besides the {info['count']:,} images that it has" if "count" in info else ""
        reasons = []
        for reason, names in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
            more = len(names) - NAMED
            listed = ", ".join(names[:NAMED]) + (f" and {more:,} more" if more > 0 else "")
            reasons.append(f"{len(names):,} {reason} ({listed})")
        sentence = (
            f"{len(files):,} file{'' if one else 's'} {'was' if one else 'were'} left out{kept}"
        )
        parts.append({"name": name, "sentence": sentence, "reasons": reasons})
    return parts
