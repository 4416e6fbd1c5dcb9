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
    Part,
    plain_name,
    plain_rows,
    titled_rows,
)
from gradmix.results.data import data_table
from gradmix.results.experiment import Experiment
from gradmix.results.layout import Table, write_csv, write_table
from gradmix.results.marks import mark_cells
from gradmix.results.paper import PaperNumber, paper_numbers, paper_table
from gradmix.results.records import (
    PER_VIDEO,
    run_folders,
)
from gradmix.results.table3 import table3, tidy_table3
from gradmix.results.table_files import renewed, stem_for, units
from gradmix.results.weights import mean_weights

REFERENCES = ("gradmix", "pooled", "source_only", "target_only")
"""The methods that the others are compared with, within each condition, where they are listed there."""

_RENEWED = " with batch-norm statistics re-estimated on V (same checkpoints)"


def experiment_tables(
    experiment: Experiment, references: Sequence[str] = REFERENCES
) -> dict[str, list[Table]]:
    """Return the tables of accuracies and of their differences to each of the references, by stem."""
    parts, first, paper = experiment.parts, experiment.first, experiment.paper
    rows = plain_rows(experiment.methods)
    titled = titled_rows(experiment.methods, experiment.conditions)
    marks, footnotes = mark_cells(experiment.notes, titled)
    quoted, labelled = paper_table(paper), "clips" if experiment.has_clips else "images"
    tables: dict[str, list[Table]] = {}
    for column, unit in units(experiment.has_clips).items():
        what, on_V = f"Test accuracy{unit}", renewed(column)
        tables[column] = [
            accuracy_table(
                parts,
                rows,
                column=column,
                what=what,
                paper=paper_numbers(first.methods, paper, column),
                marks=marks,
                footnotes=footnotes,
                tried=experiment.settings_tried,
                paper_remark=quoted.remark if quoted else "",
                labelled=labelled,
            )
        ]
        tables[on_V] = [
            accuracy_table(parts, rows, column=on_V, what=what + _RENEWED, labelled=labelled)
        ]
        tables[stem_for(column, "paired_differences")] = [
            table for part in parts for table in difference_tables(part, references, column, unit)
        ]
        if len(parts) > 1:
            name = stem_for(column, "conditions")
            tables[name] = [condition_table(parts, column=column, name=name, what=what)]
    if experiment.has_clips:
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


def _single_runs(experiment: Experiment) -> pd.DataFrame:
    """Every number behind the tables: a row per evaluated run, with its training seconds and the settings tried.

    Seconds are those of all settings that it tried: what the method costs.
    """
    metrics = experiment.metrics
    rows = {row["name"]: row for row in experiment.methods}
    runs = {(run["method"], run["labels_per_class"], run["draw"]): run for run in experiment.runs}
    keys = list(zip(metrics["method"], metrics["labels_per_class"], metrics["draw"], strict=True))
    # A run that saw no target label is stored under k = 0.
    own = [runs.get(key) or runs.get((key[0], 0, key[2])) or {} for key in keys]
    tried = [run.get("candidates") or [run] for run in own]
    hidden = ["order", "classes", "confusion", "file"]
    frame = metrics.drop(columns=[*hidden, *(() if experiment.has_clips else PER_VIDEO)])
    frame.insert(1, "condition", [rows[key[0]].get("condition", "") for key in keys])
    return frame.assign(
        method=[plain_name(rows[key[0]]) for key in keys],
        notes=frame["notes"].map("; ".join),
        seconds=[math.fsum(one.get("seconds", math.nan) for one in each) for each in tried],
        tried=[len(each) if run else math.nan for each, run in zip(tried, own, strict=True)],
    )


def write_tables(
    experiment: Experiment,
    folder: str | Path,
    *,
    curve_files: Iterable[str | Path] = (),
    references: Sequence[str] = REFERENCES,
) -> list[Path]:
    """Write the files of `table_files` into `folder` and return their paths.

    Args:
        experiment: what to tabulate.
        folder: where the tables go; made if missing.
        curve_files: curves.parquet of those of its runs whose methods mix; without any, there is no table of weights.
        references: the methods to which differences are taken, over the draws that both have.

    The accuracy CSVs are in percent with full precision; runs.csv has every single number behind them.
    Raises `ValueError` for broken curves (naming the file) or an unknown paper.
    """
    parts, first, paper = experiment.parts, experiment.first, experiment.paper
    tables = experiment_tables(experiment, references)
    tables["data"] = [data_table(experiment.sizes, has_clips=experiment.has_clips)]
    csv = {"data": experiment.sizes}
    for column in units(experiment.has_clips):
        numbers = paper_numbers(first.methods, paper, column)
        csv[column] = _tidy(parts, column, experiment.notes, numbers)
        csv[renewed(column)] = _tidy(parts, renewed(column), experiment.notes)
        compared = [(p, all_differences(p.metrics, references, column)) for p in parts]
        csv[stem_for(column, "paired_differences")] = _together(compared)
        if len(parts) > 1:
            fallen = [(p, {first.name: condition_differences(first, p, column)}) for p in parts[1:]]
            csv[stem_for(column, "conditions")] = _together(fallen)
    if experiment.has_clips:
        csv["table3"] = tidy_table3(first.metrics, first.methods, paper)
    folder = Path(folder)
    written = [
        path for stem, own in tables.items() for path in write_table(folder / stem, own, csv[stem])
    ]
    written.append(write_csv(folder / "runs.csv", _single_runs(experiment)))
    mixing = set(run_folders(curve_files))
    if mixing:
        runs = [run for run in experiment.runs if run["folder"] in mixing]
        written.append(write_csv(folder / "weights.csv", mean_weights(runs, experiment.methods)))
    return written


def _together(compared: Iterable[tuple[Part, Mapping[str, Summaries]]]) -> pd.DataFrame:
    """The differences of all conditions below each other; the columns alone where there are none."""
    rows = [row for part, cells in compared for row in _tidy_differences(part, cells)]
    return pd.DataFrame(rows, columns=_DIFFERENCE_COLUMNS)
