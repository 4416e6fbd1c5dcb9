"""Facts of an experiment for the report page: sources and target, versions and hardware, durations, the ensembles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gradmix.results.data import key_of_file
from gradmix.results.layout import Cell, Table, count_range
from gradmix.results.quality import overall_quality, read_quality
from gradmix.results.records import Method, read_json


def transfer(
    splits: Sequence[Mapping[str, Any]],
    domains: Mapping[str, Mapping[str, Any]],
    *,
    has_clips: bool = False,
) -> dict[str, Any]:
    """What was transferred to what: sources, target and test as cards, and the values of k and draws.

    `has_clips`: whether the target's images are frames of clips.
    """
    if not splits:
        return {"sources": [], "target": None, "ks": [], "draws": []}
    first = splits[0]

    def card(role: str, name: str) -> dict[str, Any]:
        info = domains.get(name, {})
        shape = info.get("shape")
        return {
            "role": role,
            "name": name,
            "origin": info.get("origin", ""),
            "label_space": info.get("label_space", ""),
            "classes": [str(name) for name in info.get("classes", [])],
            "count": info.get("count"),
            "shape": " × ".join(str(side) for side in shape) if shape else "",
            "notes": [str(note) for note in info.get("notes", [])],
            "has_clips": False,
        }

    target = card("Target", first["target"]) | {"has_clips": has_clips}
    target["classes"] = target["classes"] or [str(name) for name in first.get("classes", [])]
    target["label_space"] = target["label_space"] or first.get("label_space", "")
    target["sets"] = [
        (name, count_range([len(split[name]) for split in splits]))
        for name in ("V", "H", "U", "test")
    ]
    target["test_domain"] = first.get("test_domain") or first["target"]
    sources = [
        card(f"Source S{i + 1}", name) for i, name in enumerate(first.get("source_left_out", {}))
    ]
    for source in sources:
        source["shares_labels"] = bool(source["label_space"]) and (
            source["label_space"] == target["label_space"]
        )
    return {
        "sources": sources,
        "target": target,
        "ks": sorted({split["labels_per_class"] for split in splits}),
        "draws": sorted({split["draw"] for split in splits}),
    }


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s` or `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def machine_rows(runs: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(name, value) of versions and hardware; values that differ between runs are all listed."""
    found: dict[str, list[str]] = {}
    for run in runs:
        parts = (run.get("versions") or {}, run.get("hardware") or {})
        for prefix, part in zip(("version of ", "hardware: "), parts, strict=True):
            for name, value in part.items():
                values = found.setdefault(f"{prefix}{name}", [])
                if str(value) not in values:
                    values.append(str(value))
    return [(name, ", ".join(values)) for name, values in found.items()]


def duration_table(runs: Sequence[Mapping[str, Any]], methods: Sequence[Method]) -> Table:
    """Runs, steps, time per step and in all, and chosen steps, per method."""
    rows = []
    for method in methods:
        own = [run for run in runs if run["method"] == method["name"]]
        if not own:
            continue
        medians = [
            run["step_milliseconds_median"] for run in own if run.get("step_milliseconds_median")
        ]
        per_step = f"{min(medians):.1f}–{max(medians):.1f}" if medians else "–"
        rows.append(
            [
                Cell(method["title"]),
                Cell(str(len(own))),
                Cell(count_range([run["steps"] for run in own])),
                Cell(count_range([run["chosen_step"] for run in own])),
                Cell(per_step),
                Cell(duration(sum(run["seconds"] for run in own))),
            ]
        )
    head = ("Method", "Runs", "Steps", "Chosen step", "ms per step (median)", "Training time")
    caption = "Final trainings, ranges over runs; the time is the sum over runs, without the grid."
    return Table("durations", caption, head, rows)


def quality_table(
    quality_files: Iterable[str | Path], summary_files: Iterable[str | Path]
) -> Table | None:
    """Pseudo-labels per k and draw over all classes; None if there are none at all."""
    quality = overall_quality(read_quality(quality_files))
    summaries = {}
    for file in summary_files:
        record = read_json(file)
        summaries[key_of_file(file, record)] = record
    known: dict[tuple[int, int], dict[str, Any]] = {
        (int(row["labels_per_class"]), int(row["draw"])): {
            str(name): row[name] for name in row.index
        }
        for _, row in quality.iterrows()
    }
    rows = []
    for key in sorted(known.keys() | summaries.keys()):
        row: Mapping[str, Any] = known.get(key, summaries.get(key, {}))
        numbers = [row.get(name) for name in ("precision", "coverage", "soft_accuracy")]
        shares = [
            "–" if value is None or math.isnan(value) else f"{100 * value:.2f}" for value in numbers
        ]
        counts = [
            f"{int(row[name]):,}" if name in row else "–" for name in ("unlabelled", "accepted")
        ]
        rows.append(
            [Cell(str(key[0])), Cell(str(key[1])), *(Cell(text) for text in counts + shares)]
        )
    if not rows:
        return None
    head = (
        "k",
        "Draw",
        "Images in U",
        "Accepted",
        "Precision, %",
        "Coverage, %",
        "Soft labels right, %",
    )
    thresholds = sorted(
        {record["threshold"] for record in summaries.values() if "threshold" in record}
    )
    models = sorted({record["R"] for record in summaries.values() if "R" in record})
    rule = ""
    if len(thresholds) == 1 and len(models) == 1:
        rule = f" Accepted: all {models[0]} models agree and each is above {thresholds[0]:g}."
    caption = f"Pseudo-labels over all classes, judged with the truth after training.{rule}"
    return Table("pseudo_labels", caption, head, rows, text_columns=2)


def ensemble_table(ensemble_files: Iterable[str | Path]) -> Table | None:
    """The grid members chosen to give pseudo-labels, with their accuracy on H; None if there are none."""
    rows = {}
    grid_sizes = set()
    for file in ensemble_files:
        record = read_json(file)
        scores = record.get("scores", {})
        grid_sizes.add(len(scores))
        chosen = [
            f"{member} ({100 * scores[member]:.1f} %)" if member in scores else str(member)
            for member in record.get("members", [])
        ]
        values = pd.Series(list(scores.values()), dtype=float)
        spread = "–" if values.empty else f"{100 * values.min():.1f}–{100 * values.max():.1f}"
        rows[key_of_file(file, record)] = [Cell(", ".join(chosen)), Cell(spread)]
    if not rows:
        return None
    body = [[Cell(str(k)), Cell(str(draw)), *rows[k, draw]] for k, draw in sorted(rows)]
    sizes = count_range(sorted(grid_sizes))
    caption = (
        f"The models that gave pseudo-labels, best on H first, chosen from {sizes} of the grid."
    )
    head = ("k", "Draw", "Chosen (accuracy on H)", "All of the grid, %")
    return Table("ensemble", caption, head, body, text_columns=3)
