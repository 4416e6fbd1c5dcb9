"""What an experiment's runs left on disk, read once for its tables or its report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gradmix.results.conditions import Condition, Part, parts_of
from gradmix.results.data import data_sizes
from gradmix.results.marks import collect_notes
from gradmix.results.records import (
    Method,
    listed_metrics,
    read_domains,
    read_metrics,
    read_runs,
    read_splits,
    require_videos,
)


@dataclass(frozen=True)
class Experiment:
    """The records of an experiment (see `read_experiment`), and its metrics by condition in `parts`."""

    methods: Sequence[Method]
    conditions: Sequence[Condition]
    paper: str | None
    has_clips: bool
    metrics: pd.DataFrame
    runs: list[dict[str, Any]]
    notes: pd.DataFrame
    parts: list[Part]
    splits: list[dict[str, Any]]
    domains: dict[str, dict[str, Any]]
    sizes: pd.DataFrame

    @property
    def first(self) -> Part:
        """The condition of the experiment's own sources, which others are compared with."""
        return self.parts[0]

    @property
    def settings_tried(self) -> dict[str, int]:
        """How many settings each method tried, of which the best on H is its run."""
        tried: dict[str, int] = {}
        for run in self.runs:
            count = len(run.get("candidates") or [None])
            tried[run["method"]] = max(count, tried.get(run["method"], 1))
        return tried


def read_experiment(
    metric_files: Iterable[str | Path],
    run_files: Iterable[str | Path],
    methods: Sequence[Method],
    *,
    conditions: Sequence[Condition] = (),
    split_files: Iterable[str | Path] = (),
    enlarged_files: Iterable[str | Path] = (),
    domain_files: Iterable[str | Path] = (),
    paper: str | None = None,
    has_clips: bool = False,
) -> Experiment:
    """Read the records of an experiment.

    Args:
        metric_files: metrics.json of every method, k (> 0) and draw.
        run_files: run.json (or folders) of the runs, those under k = 0 included; their notes become footnotes.
        methods: name, title and recipe of every row, in order; with conditions also method (the name without the
            condition) and condition (empty: the row belongs to every one). Rows without records are left out.
        conditions: name, title, sources and labels_per_class of each, in order; the first is the reference of others.
        split_files: splits/<k>/<draw>.json.
        enlarged_files: splits/<k>/<draw>.enlarged.json, if there are any.
        domain_files: domain.json of the sources, the target and the test domain.
        paper: None, or the paper's numbers beside ours: "digits" for its Table 1, "actions" for Table 3.
        has_clips: whether test images are frames of clips, so that every record has an accuracy per video.

    Raises:
        ValueError: for a broken record, naming the file.
    """
    metrics = listed_metrics(read_metrics(metric_files), methods)
    if has_clips:
        require_videos(metrics)
    runs = read_runs(run_files)
    splits, domains = read_splits(split_files), read_domains(domain_files)
    return Experiment(
        methods,
        conditions,
        paper,
        has_clips,
        metrics,
        runs,
        collect_notes(metrics, runs, methods),
        parts_of(metrics, methods, conditions),
        splits,
        domains,
        data_sizes(splits, enlarged_files, domains),
    )
