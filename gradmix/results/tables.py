"""Write all tables of an experiment as CSV (tidy, full precision), Markdown and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gradmix.results.accuracy import (
    Summaries,
    accuracy_table,
    columns_k,
    difference_table,
    differences,
    few_draws_remarks,
    summaries,
)
from gradmix.results.condition_table import condition_differences, condition_table
from gradmix.results.conditions import (
    Condition,
    Part,
    parts_of,
    plain_name,
    plain_rows,
    titled_rows,
)
from gradmix.results.data import data_sizes, data_table
from gradmix.results.layout import Table, write_csv, write_table
from gradmix.results.marks import collect_notes, mark_cells
from gradmix.results.paper import PaperNumber, paper_numbers, paper_table
from gradmix.results.records import (
    PER_VIDEO,
    Method,
    listed_metrics,
    read_metrics,
    read_runs,
    require_videos,
    run_folders,
)
from gradmix.results.table3 import table3, tidy_table3
from gradmix.results.table_files import renewed, stem_for, units
from gradmix.results.weights import mean_weights

REFERENCES = ("gradmix", "pooled", "source_only", "target_only")
"""The methods that the others are compared with, within each condition, where they are listed there."""

_RENEWED = " with batch-norm statistics re-estimated on V (same checkpoints)"


def experiment_tables(
    parts: Sequence[Part],
    notes: pd.DataFrame,
    methods: Sequence[Method],
    conditions: Sequence[Condition],
    *,
    paper: str | None,
    references: Sequence[str],
    tried: Mapping[str, int],
    has_clips: bool = False,
) -> dict[str, list[Table]]:
    """Return the tables of accuracies by stem, from records already read (see `write_tables`)."""
    marks, footnotes = mark_cells(notes, titled_rows(methods, conditions))
    quoted, labelled = paper_table(paper), "clips" if has_clips else "images"
    first, rows = parts[0], plain_rows(methods)
    tables: dict[str, list[Table]] = {}
    for column, unit in units(has_clips).items():
        tables[column] = [
            accuracy_table(
                parts,
                rows,
                column=column,
                what=f"Test accuracy{unit}",
                paper=paper_numbers(first.methods, paper, column),
                marks=marks,
                footnotes=footnotes,
                tried=tried,
                paper_remark=quoted.remark if quoted else "",
                labelled=labelled,
            )
        ]
        on_V, what = renewed(column), f"Test accuracy{unit}{_RENEWED}"
        tables[on_V] = [accuracy_table(parts, rows, column=on_V, what=what, labelled=labelled)]
        tables[stem_for(column, "paired_differences")] = [
            table for part in parts for table in difference_tables(part, references, column, unit)
        ]
        if len(parts) > 1:
            name, what = stem_for(column, "conditions"), f"Test accuracy{unit}"
            tables[name] = [condition_table(parts, column=column, name=name, what=what)]
    if has_clips:
        tables["table3"] = [table3(first.metrics, first.methods, paper)]
    return tables


def difference_tables(part: Part, references: Sequence[str], column: str, unit: str) -> list[Table]:
    """Return the paired differences of one condition, a table per k; `unit`: words for captions (see `units`)."""
    compared = all_differences(part.metrics, references, column)
    what = f"Accuracy differences{unit}{f', {part.title},' if part.title else ''}"
    name = "-".join(filter(None, [stem_for(column, "paired_differences"), part.name]))
    tables = [
        difference_table(compared, part.methods, k, name=name, what=what)
        for k in columns_k(summaries(part.metrics, column))
    ]
    if tables:  # of all k, once
        most = max((c.count for cells in compared.values() for c in cells.values()), default=0)
        tables[-1].remarks.extend(few_draws_remarks(most))
    return tables


def all_differences(
    metrics: pd.DataFrame, references: Sequence[str], column: str = "accuracy"
) -> dict[str, Summaries]:
    """Return the paired differences to each of the references that was evaluated."""
    compared = {reference: differences(metrics, reference, column) for reference in references}
    return {reference: cells for reference, cells in compared.items() if cells}


def tried_settings(runs: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many settings each method tried, of which the best on H is its run."""
    tried: dict[str, int] = {}
    for run in runs:
        tried[run["method"]] = max(_tried(run), tried.get(run["method"], 1))
    return tried


def _seconds(run: Mapping[str, Any]) -> float:
    """Training time of all settings that the run tried: what the method costs."""
    tried = run.get("candidates") or [run]
    return math.fsum(one.get("seconds", math.nan) for one in tried)


def _tried(run: Mapping[str, Any]) -> int:
    return len(run.get("candidates") or [None])


def _tidy(
    parts: Sequence[Part],
    column: str,
    notes: pd.DataFrame,
    paper: Mapping[tuple[str, int], PaperNumber] | None = None,
) -> pd.DataFrame:
    """A row per method, condition and k; the paper's numbers in the first part's, where `paper` is not None."""
    rows = []
    for part in parts:
        cells = summaries(part.metrics, column)
        for method in part.methods:
            for key in sorted(key for key in cells if key[0] == method["name"]):
                chosen = (notes["method"] == method["run"]) & (notes["labels_per_class"] == key[1])
                row = {
                    "method": key[0],
                    "condition": part.name,
                    "title": method["title"],
                    "labels_per_class": key[1],
                    "draws": cells[key].count,
                    "mean_percent": cells[key].mean,
                    "standard_error_percent": cells[key].error,
                }
                if paper is not None:
                    number = paper.get(key) if part is parts[0] else None
                    mean, error = number or (None, None)
                    row |= {"paper_mean_percent": mean, "paper_standard_error_percent": error}
                rows.append(row | {"notes": "; ".join(dict.fromkeys(notes.loc[chosen, "note"]))})
    return pd.DataFrame(rows)


def _ends(name: str, interval: tuple[float, float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


_DIFFERENCE_COLUMNS = [
    *("method", "condition", "title", "reference", "labels_per_class", "common_draws"),
    *("difference_points", "standard_error_points", "difference_in_standard_errors"),
    *("bootstrap_low", "bootstrap_high", "student_low", "student_high", "p", "clear"),
]


def _tidy_differences(part: Part, compared: Mapping[str, Summaries]) -> list[dict[str, Any]]:
    """A row per difference to each of the references; p-values are Student's, uncorrected."""
    return [
        {
            "method": key[0],
            "condition": part.name,
            "title": method["title"],
            "reference": reference,
            "labels_per_class": key[1],
            "common_draws": cells[key].count,
            "difference_points": cells[key].mean,
            "standard_error_points": cells[key].error,
            "difference_in_standard_errors": cells[key].errors_from_zero,
            **_ends("bootstrap", cells[key].bootstrap),
            **_ends("student", cells[key].student),
            "p": cells[key].p,
            "clear": cells[key].clear,
        }
        for reference, cells in compared.items()
        for method in part.methods
        for key in sorted(key for key in cells if key[0] == method["name"])
    ]


def _single_runs(
    metrics: pd.DataFrame,
    runs: Iterable[Mapping[str, Any]],
    methods: Sequence[Method],
    has_clips: bool,
) -> pd.DataFrame:
    """Every number behind the tables: a row per evaluated run, with its training seconds and the settings tried."""
    rows = {row["name"]: row for row in methods}
    trained = {(run["method"], run["labels_per_class"], run["draw"]): run for run in runs}
    keys = list(zip(metrics["method"], metrics["labels_per_class"], metrics["draw"], strict=True))
    # A run that saw no target label is stored under k = 0.
    own = [trained.get(key) or trained.get((key[0], 0, key[2])) or {} for key in keys]
    hidden = ["order", "classes", "confusion", "file", *(() if has_clips else PER_VIDEO)]
    frame = metrics.drop(columns=hidden)
    frame.insert(1, "condition", [rows[key[0]].get("condition", "") for key in keys])
    return frame.assign(
        method=[plain_name(rows[key[0]]) for key in keys],
        notes=frame["notes"].map("; ".join),
        seconds=[_seconds(run) for run in own],
        tried=[_tried(run) if run else math.nan for run in own],
    )


def write_tables(
    metric_files: Iterable[str | Path],
    run_files: Iterable[str | Path],
    methods: Sequence[Method],
    folder: str | Path,
    *,
    conditions: Sequence[Condition] = (),
    curve_files: Iterable[str | Path] = (),
    paper: str | None = None,
    split_files: Iterable[str | Path] = (),
    enlarged_files: Iterable[str | Path] = (),
    domain_files: Iterable[str | Path] = (),
    references: Sequence[str] = REFERENCES,
    has_clips: bool = False,
) -> list[Path]:
    """Write the files of `table_files` into `folder` and return their paths.

    Args:
        metric_files: metrics.json of every method, k (> 0) and draw.
        run_files: run.json (or folders) of the runs, those under k = 0 included; their notes become footnotes.
        methods: name, title and recipe of every row, in order; with conditions also method (the name without the
            condition) and condition (empty: the row belongs to every one). Rows without records are left out.
        folder: where the tables go; made if missing.
        conditions: name, title, sources and labels_per_class of each, in order; the first is the reference of others.
        curve_files: curves.parquet of those of the runs whose methods mix; without any, there is no table of weights.
        paper: None, or the paper's numbers beside ours: "digits" for its Table 1, "actions" for Table 3.
        split_files: the splits, for the table of set sizes.
        enlarged_files: the enlarged splits (.enlarged.json), if there are any.
        domain_files: domain.json of the sources and the target.
        references: the methods to which differences are taken, over the draws that both have.
        has_clips: whether test images are frames of clips, so that every record has an accuracy per video.

    The accuracy CSVs are in percent with full precision; runs.csv has every single number behind them.
    Raises `ValueError` for a broken record (naming the file) or an unknown `paper`.
    """
    metrics = listed_metrics(read_metrics(metric_files), methods)
    if has_clips:
        require_videos(metrics)
    runs, mixing = read_runs(run_files), set(run_folders(curve_files))
    notes = collect_notes(metrics, runs, methods)
    sizes = data_sizes(split_files, enlarged_files, domain_files)
    parts = parts_of(metrics, methods, conditions)
    tables = experiment_tables(
        parts,
        notes,
        methods,
        conditions,
        paper=paper,
        references=references,
        tried=tried_settings(runs),
        has_clips=has_clips,
    )
    tables["data"] = [data_table(sizes, has_clips=has_clips)]
    csv = {"data": sizes}
    first = parts[0]
    for column in units(has_clips):
        numbers = paper_numbers(first.methods, paper, column)
        csv[column] = _tidy(parts, column, notes, numbers)
        csv[renewed(column)] = _tidy(parts, renewed(column), notes)
        compared = [(p, all_differences(p.metrics, references, column)) for p in parts]
        csv[stem_for(column, "paired_differences")] = _together(compared)
        if len(parts) > 1:
            fallen = [(p, {first.name: condition_differences(first, p, column)}) for p in parts[1:]]
            csv[stem_for(column, "conditions")] = _together(fallen)
    if has_clips:
        csv["table3"] = tidy_table3(first.metrics, first.methods, paper)
    folder = Path(folder)
    written = [
        path for stem, own in tables.items() for path in write_table(folder / stem, own, csv[stem])
    ]
    single = _single_runs(metrics, runs, methods, has_clips)
    written.append(write_csv(folder / "runs.csv", single))
    if mixing:
        weights = mean_weights([run for run in runs if run["folder"] in mixing], methods)
        written.append(write_csv(folder / "weights.csv", weights))
    return written


def _together(compared: Iterable[tuple[Part, Mapping[str, Summaries]]]) -> pd.DataFrame:
    """The differences of all conditions below each other; the columns alone where there are none."""
    rows = [row for part, cells in compared for row in _tidy_differences(part, cells)]
    return pd.DataFrame(rows, columns=_DIFFERENCE_COLUMNS)
