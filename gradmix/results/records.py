"""Read the records that runs leave on disk (metrics.json, run.json, curves.parquet) into tidy tables.

A broken record is a `ValueError` that names the file: a table made from half the records would lie.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradmix.files import check_sha256

if TYPE_CHECKING:
    import pandas as pd

Method = Mapping[str, str]
"""One row of the tables: name, title and recipe of a method, as the configuration orders them."""

METRICS_COLUMNS = [
    "method",
    "labels_per_class",
    "draw",
    "test_count",
    "accuracy",
    "accuracy_statistics_on_V",
    "hyper_validation_accuracy",
    "chosen_step",
    "classes",
    "confusion",
    "notes",
    "file",
    "accuracy_per_video",
    "accuracy_per_video_statistics_on_V",
    "video_count",
]
PER_VIDEO = ("accuracy_per_video", "accuracy_per_video_statistics_on_V", "video_count")
"""Columns that only experiments on clips have; empty in others."""

_OPTIONAL = {"accuracy_statistics_on_V", "notes", *PER_VIDEO}
_ACCURACIES = ("accuracy", "accuracy_statistics_on_V", *PER_VIDEO[:2])
RUN_KEYS = ("method", "labels_per_class", "draw", "steps", "seconds", "chosen_step")


def read_json(file: str | Path) -> dict[str, Any]:
    """Return the JSON object in `file`.

    Raises `ValueError` naming the file if it is missing, not JSON, or not an object.
    """
    try:
        record = json.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ValueError(f"{file}: not a whole JSON record ({error})") from error
    if not isinstance(record, dict):
        raise ValueError(f"{file}: expected a JSON object, found {type(record).__name__}")
    return record


def _require(record: Mapping[str, Any], keys: Iterable[str], file: str | Path) -> None:
    missing = [key for key in keys if key not in record]
    if missing:
        raise ValueError(f"{file}: the record lacks {', '.join(missing)}")


def read_parquet(file: str | Path) -> pd.DataFrame:
    """Return the table in `file`. Raises `ValueError` naming it if it cannot be read."""
    import pandas as pd

    try:
        return pd.read_parquet(file)
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise ValueError(f"{file}: cannot be read as Parquet ({error})") from error


def key_of_path(file: str | Path) -> tuple[int, int]:
    """Return (k, draw) of a path `.../<k>/<draw>.<anything>` or `.../<k>/<draw>/<name>`.

    Raises `ValueError` where it says neither.
    """
    names = [*Path(file).parts[:-1], Path(file).name.partition(".")[0]]
    for k, draw in reversed(list(itertools.pairwise(names[-3:]))):
        if k.isdigit() and draw.isdigit():
            return int(k), int(draw)
    raise ValueError(f"{file}: neither the record nor its path says labels_per_class and draw")


def key_of_record(file: str | Path, record: Mapping[str, Any]) -> tuple[int, int]:
    """Return (k, draw) of a record, or else of its path (see `key_of_path`)."""
    if "labels_per_class" in record and "draw" in record:
        return int(record["labels_per_class"]), int(record["draw"])
    return key_of_path(file)


def read_domains(files: Iterable[str | Path]) -> dict[str, dict[str, Any]]:
    """Return {domain name: domain.json}."""
    records = [_read_record(file, ("name", "label_space", "count")) for file in files]
    return {record["name"]: record for record in records}


def read_splits(files: Iterable[str | Path]) -> list[dict[str, Any]]:
    """Return the split records by k and draw."""
    keys = ("labels_per_class", "draw", "target", "V", "H", "U", "test")
    splits = [_read_record(file, keys) for file in files]
    return sorted(splits, key=lambda split: (split["labels_per_class"], split["draw"]))


def _read_record(file: str | Path, keys: Iterable[str]) -> dict[str, Any]:
    record = read_json(file)
    _require(record, keys, file)
    return record


def read_metrics(files: Iterable[str | Path]) -> pd.DataFrame:
    """Return one row per metrics.json, with `METRICS_COLUMNS` (accuracies as fractions; missing ones NaN).

    Raises `ValueError` for a broken record, or when two files claim the same method, k and draw.
    """
    import pandas as pd

    rows = []
    seen: dict[tuple[str, int, int], str | Path] = {}
    for file in files:
        record = _read_record(file, (c for c in METRICS_COLUMNS if c not in _OPTIONAL | {"file"}))
        row = {column: record.get(column) for column in METRICS_COLUMNS}
        _check_accuracies(row, file)
        key = (record["method"], record["labels_per_class"], record["draw"])
        if key in seen:
            raise ValueError(f"{file}: the same method, labels per class and draw as {seen[key]}")
        seen[key] = file
        rows.append(row | {"notes": list(row["notes"] or []), "file": str(file)})
    frame = pd.DataFrame(rows, columns=METRICS_COLUMNS)
    for column in (*_ACCURACIES, "hyper_validation_accuracy", "video_count"):
        frame[column] = frame[column].astype("float64")
    return frame


def _check_accuracies(row: Mapping[str, Any], file: str | Path) -> None:
    for column in _ACCURACIES:
        value = row[column]
        if value is None and column in _OPTIONAL:
            continue
        if not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise ValueError(f"{file}: {column} must be a fraction from 0 to 1, but got {value!r}")
    if (row["accuracy_per_video"] is None) != (row["video_count"] is None):
        raise ValueError(f"{file}: accuracy_per_video and video_count come together")


def has_videos(metrics: pd.DataFrame) -> bool:
    """Whether any of the records of `read_metrics` has an accuracy per video."""
    return bool(metrics["accuracy_per_video"].notna().any())


def require_videos(metrics: pd.DataFrame) -> None:
    """Raise `ValueError` naming the first record that has no accuracy per video."""
    for file in metrics.loc[metrics["accuracy_per_video"].isna(), "file"]:
        raise ValueError(
            f"{file}: lacks accuracy_per_video, though the test domain has clips; evaluate the run again"
        )


def named(info: Mapping[str, Any], classes: Sequence[str] | None) -> dict[str, Any]:
    """Return a domain.json's content with other names of its classes, by position; None: those that are there.

    There stand the origin's names. What is shown to readers has those of the configuration.
    """
    return {**info, "classes": list(classes or info.get("classes", []))}


def run_folders(paths: Iterable[str | Path]) -> list[Path]:
    """Return the run folders that `paths` (folders, or any files in them) name, each once, in order."""
    folders = (path if path.is_dir() else path.parent for path in map(Path, paths))
    return list(dict.fromkeys(folders))


def read_runs(paths: Iterable[str | Path]) -> list[dict[str, Any]]:
    """Return the run.json of every run folder, each with its `folder` (a `Path`) added.

    Raises `ValueError` for a broken record.
    """
    return [
        _read_record(folder / "run.json", RUN_KEYS) | {"folder": folder}
        for folder in run_folders(paths)
    ]


def read_curves(run: Mapping[str, Any], columns: Sequence[str] = ()) -> pd.DataFrame:
    """Return curves.parquet of one run of `read_runs`: one row per evaluation on H, sorted by step.

    `columns` must be there (besides `step`). Raises `ValueError` naming the file if not, or if it cannot be read.
    """
    file = Path(run["folder"]) / "curves.parquet"
    if "files" in run:
        check_sha256(file, run["files"][file.name], "run.json")
    frame = read_parquet(file)
    _require(dict.fromkeys(frame.columns), ["step", *columns], file)
    return frame.sort_values("step", ignore_index=True)


def runs_of(
    runs: Iterable[Mapping[str, Any]], method: str, labels_per_class: int
) -> list[Mapping[str, Any]]:
    """Return the runs of `method` that count at `labels_per_class`, by draw.

    Methods that see no target label are trained once per draw and stored under k = 0: they count at every k.
    """
    chosen = [
        run
        for run in runs
        if run["method"] == method and run["labels_per_class"] in (labels_per_class, 0)
    ]
    return sorted(chosen, key=lambda run: run["draw"])


def listed_metrics(metrics: pd.DataFrame, methods: Sequence[Method]) -> pd.DataFrame:
    """Return the rows of `metrics` whose method is listed, in the order of `methods`, then by k and draw."""
    order = {method["name"]: position for position, method in enumerate(methods)}
    rows = metrics[metrics["method"].isin(list(order))].copy()
    rows["order"] = rows["method"].map(order)
    return rows.sort_values(["order", "labels_per_class", "draw"], ignore_index=True)
