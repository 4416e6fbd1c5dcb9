"""Write all tables of an experiment as CSV (tidy, full precision), Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gradmix.files import write_text
from gradmix.results.accuracy import (
    Summaries,
    accuracy_table,
    columns_k,
    difference_table,
    differences,
    few_draws_remarks,
    summaries,
)
from gradmix.results.data import data_sizes, data_table
from gradmix.results.layout import Table, to_latex, to_markdown
from gradmix.results.marks import collect_notes, mark_cells
from gradmix.results.paper import PaperNumber, paper_numbers, paper_table
from gradmix.results.records import (
    PER_VIDEO,
    Method,
    listed_metrics,
    read_metrics,
    read_runs,
    require_videos,
)
from gradmix.results.table3 import table3, tidy_table3

STEMS = ("accuracy", "accuracy_statistics_on_V", "paired_differences", "data")
VIDEO_STEMS = (
    "accuracy_per_video",
    "accuracy_per_video_statistics_on_V",
    "paired_differences_per_video",
    "table3",
)
"""The tables that only experiments on clips have."""

REFERENCES = ("gradmix", "pooled", "source_only")
"""The methods that the others are compared with, where they are listed."""

_RENEWED = " with batch-norm statistics re-estimated on V (same checkpoints)"


def table_files(has_clips: bool = False) -> tuple[str, ...]:
    """The files that `write_tables` writes."""
    stems = (*STEMS, *(VIDEO_STEMS if has_clips else ()))
    return (*(f"{stem}.{kind}" for stem in stems for kind in ("csv", "md", "tex")), "runs.csv")


def units(has_clips: bool) -> dict[str, str]:
    """What accuracies are counted by: column of metrics -> words for captions, empty where there are images only."""
    if not has_clips:
        return {"accuracy": ""}
    return {"accuracy": " per frame", "accuracy_per_video": " per video"}


def experiment_tables(
    metrics: pd.DataFrame,
    notes: pd.DataFrame,
    methods: Sequence[Method],
    *,
    paper: str | None,
    references: Sequence[str],
    tried: Mapping[str, int],
    has_clips: bool = False,
) -> dict[str, list[Table]]:
    """Return the tables of accuracies by stem, from records already read (see `write_tables`)."""
    marks, footnotes = mark_cells(notes, methods)
    quoted, labelled = paper_table(paper), "clips" if has_clips else "images"
    tables: dict[str, list[Table]] = {}
    for column, unit in units(has_clips).items():
        tables[column] = [
            accuracy_table(
                summaries(metrics, column),
                methods,
                name=column,
                what=f"Test accuracy{unit}",
                paper=paper_numbers(methods, paper, column),
                marks=marks,
                footnotes=footnotes,
                tried=tried,
                paper_remark=quoted.remark if quoted else "",
                labelled=labelled,
            )
        ]
        renewed = f"{column}_statistics_on_V"
        tables[renewed] = [
            accuracy_table(
                summaries(metrics, renewed),
                methods,
                name=renewed,
                what=f"Test accuracy{unit}{_RENEWED}",
                paper={},
                marks={},
                footnotes=[],
                labelled=labelled,
            )
        ]
        compared = all_differences(metrics, references, column)
        name = differences_stem(column)
        what = f"Accuracy differences{unit}"
        tables[name] = [
            difference_table(compared, methods, k, name=name, what=what)
            for k in columns_k(summaries(metrics, column))
        ]
        if tables[name]:  # of all k, once
            most = max((c.count for cells in compared.values() for c in cells.values()), default=0)
            tables[name][-1].remarks.extend(few_draws_remarks(most))
    if has_clips:
        tables["table3"] = [table3(metrics, methods, paper)]
    return tables


def differences_stem(column: str) -> str:
    """The name of the table of paired differences of a column of metrics."""
    return column.replace("accuracy", "paired_differences", 1)


def all_differences(
    metrics: pd.DataFrame, references: Sequence[str], column: str = "accuracy"
) -> dict[str, Summaries]:
    """Return the paired differences to each of the references that was evaluated."""
    found = {reference: differences(metrics, reference, column) for reference in references}
    return {reference: cells for reference, cells in found.items() if cells}


def tried_settings(runs: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many settings each method tried, of which the best on H is its run."""
    tried: dict[str, int] = {}
    for run in runs:
        count = len(run.get("candidates") or [None])
        tried[run["method"]] = max(count, tried.get(run["method"], 1))
    return tried


def _tidy(
    cells: Summaries,
    methods: Sequence[Method],
    paper: Mapping[tuple[str, int], PaperNumber],
    notes: pd.DataFrame,
) -> pd.DataFrame:
    rows = []
    for method in methods:
        for key in sorted(key for key in cells if key[0] == method["name"]):
            chosen = (notes["method"] == key[0]) & (notes["labels_per_class"] == key[1])
            paper_mean, paper_error = paper.get(key, (None, None))
            rows.append(
                {
                    "method": key[0],
                    "title": method["title"],
                    "labels_per_class": key[1],
                    "draws": cells[key].count,
                    "mean_percent": cells[key].mean,
                    "standard_error_percent": cells[key].error,
                    "paper_mean_percent": paper_mean,
                    "paper_standard_error_percent": paper_error,
                    "notes": "; ".join(dict.fromkeys(notes.loc[chosen, "note"])),
                }
            )
    return pd.DataFrame(rows)


def _ends(name: str, interval: tuple[float, float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _tidy_differences(compared: Mapping[str, Summaries], methods: Sequence[Method]) -> pd.DataFrame:
    rows = [
        {
            "method": key[0],
            "title": method["title"],
            "reference": reference,
            "labels_per_class": key[1],
            "common_draws": cells[key].count,
            "difference_points": cells[key].mean,
            "standard_error_points": cells[key].error,
            "difference_in_standard_errors": cells[key].errors_from_zero,
            **_ends("bootstrap", cells[key].bootstrap),
            **_ends("student", cells[key].student),
            "clear": cells[key].clear,
        }
        for reference, cells in compared.items()
        for method in methods
        for key in sorted(key for key in cells if key[0] == method["name"])
    ]
    columns = ["method", "title", "reference", "labels_per_class", "common_draws"]
    columns += ["difference_points", "standard_error_points", "difference_in_standard_errors"]
    columns += ["bootstrap_low", "bootstrap_high", "student_low", "student_high", "clear"]
    return pd.DataFrame(rows, columns=columns)


def write_tables(
    metric_files: Iterable[str | Path],
    run_files: Iterable[str | Path],
    methods: Sequence[Method],
    folder: str | Path,
    *,
    paper: str | None = None,
    split_files: Iterable[str | Path] = (),
    enlarged_files: Iterable[str | Path] = (),
    domain_files: Iterable[str | Path] = (),
    references: Sequence[str] = REFERENCES,
    has_clips: bool = False,
) -> list[Path]:
    """Write `table_files` into `folder` and return their paths.

    Args:
        metric_files: metrics.json of every method, k (> 0) and draw.
        run_files: run.json (or folders) of the runs, those under k = 0 included; their notes become footnotes.
        methods: name, title and recipe of every row, in order. Rows without records are left out.
        folder: where the tables go; made if missing.
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
    runs = read_runs(run_files)
    notes = collect_notes(metrics, runs, methods)
    sizes = data_sizes(split_files, enlarged_files, domain_files)
    tables = experiment_tables(
        metrics,
        notes,
        methods,
        paper=paper,
        references=references,
        tried=tried_settings(runs),
        has_clips=has_clips,
    )
    tables["data"] = [data_table(sizes, has_clips=has_clips)]
    hidden = ["order", "classes", "confusion", "file", *(() if has_clips else PER_VIDEO)]
    single = metrics.drop(columns=hidden)
    csv = {"data": sizes, "runs": single.assign(notes=single["notes"].map("; ".join))}
    for column in units(has_clips):
        numbers, renewed = paper_numbers(methods, paper, column), f"{column}_statistics_on_V"
        csv[column] = _tidy(summaries(metrics, column), methods, numbers, notes)
        csv[renewed] = _tidy(summaries(metrics, renewed), methods, {}, notes).drop(
            columns=["paper_mean_percent", "paper_standard_error_percent"], errors="ignore"
        )
        compared = all_differences(metrics, references, column)
        csv[differences_stem(column)] = _tidy_differences(compared, methods)
    if has_clips:
        csv["table3"] = tidy_table3(metrics, methods, paper)
    folder = Path(folder)
    for stem, parts in tables.items():
        write_text(folder / f"{stem}.md", "\n".join(map(to_markdown, parts)))
        write_text(folder / f"{stem}.tex", "\n".join(map(to_latex, parts)))
    for stem, frame in csv.items():
        write_text(folder / f"{stem}.csv", frame.to_csv(index=False, lineterminator="\n"))
    return [folder / name for name in table_files(has_clips)]
