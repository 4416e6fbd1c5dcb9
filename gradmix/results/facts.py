"""Facts of an experiment for the report page: what was transferred, how it was run and configured, pseudo-labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gradmix.results.layout import Cell, Table, count_range
from gradmix.results.quality import overall_quality, read_quality
from gradmix.results.records import Method, key_of_record, named, read_json

_LONG = 20  # values; longer lists of the configuration run on within lines
_WIDTH = 110


def transfer(
    splits: Sequence[Mapping[str, Any]],
    domains: Mapping[str, Mapping[str, Any]],
    *,
    has_clips: bool = False,
    classes: Mapping[str, Sequence[str] | None] | None = None,
) -> dict[str, Any]:
    """Return what was transferred to what: sources, target and test as cards, and the values of k and draws.

    `has_clips`: whether the target's images are frames of clips. `classes`: see `named`, by domain.
    """
    if not splits:
        return {"sources": [], "target": None, "ks": [], "draws": []}
    first = splits[0]

    def card(role: str, name: str) -> dict[str, Any]:
        info = named(domains.get(name, {}), (classes or {}).get(name))
        shape = info.get("shape")
        return {
            "role": role,
            "name": name,
            "origin": info.get("origin", ""),
            "label_space": info.get("label_space", ""),
            "classes": [str(name) for name in info["classes"]],
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
    """Return `45 s`, `3 min 20 s` or `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def machine_rows(runs: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return (name, value) of versions and hardware; values that differ between runs are all listed."""
    values: dict[str, dict[str, None]] = {}
    for run in runs:
        parts = (run.get("versions") or {}, run.get("hardware") or {})
        for prefix, part in zip(("version of ", "hardware: "), parts, strict=True):
            for name, value in part.items():
                values.setdefault(f"{prefix}{name}", {})[str(value)] = None
    return [(name, ", ".join(different)) for name, different in values.items()]


def duration_table(runs: Sequence[Mapping[str, Any]], methods: Sequence[Method]) -> Table:
    """Return the table of runs, steps, time per step and in all, and chosen steps, per method."""
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
    """Return the table of pseudo-labels per k and draw over all classes; None if there are none at all."""
    records = {}
    for file in summary_files:
        record = read_json(file)
        records[key_of_record(file, record)] = record
    quality = overall_quality(read_quality(quality_files))
    known: dict[tuple[int, int], Mapping[Any, Any]] = {
        (row["labels_per_class"], row["draw"]): row for row in quality.to_dict("records")
    }
    rows = []
    for key in sorted(known.keys() | records.keys()):
        row = known.get(key, records.get(key, {}))
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
        {record["threshold"] for record in records.values() if "threshold" in record}
    )
    models = sorted({record["R"] for record in records.values() if "R" in record})
    rule = ""
    if len(thresholds) == 1 and len(models) == 1:
        rule = f" Accepted: all {models[0]} models agree and each is above {thresholds[0]:g}."
    caption = f"Pseudo-labels over all classes, judged with the truth after training.{rule}"
    return Table("pseudo_labels", caption, head, rows, text_columns=2)


def ensemble_table(ensemble_files: Iterable[str | Path]) -> Table | None:
    """Return the table of grid members that gave pseudo-labels, with their accuracy on H; None if there are none."""
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
        rows[key_of_record(file, record)] = [Cell(", ".join(chosen)), Cell(spread)]
    if not rows:
        return None
    body = [[Cell(str(k)), Cell(str(draw)), *rows[k, draw]] for k, draw in sorted(rows)]
    sizes = count_range(sorted(grid_sizes))
    caption = (
        f"The models that gave pseudo-labels, best on H first, chosen from {sizes} of the grid."
    )
    head = ("k", "Draw", "Chosen (accuracy on H)", "All of the grid, %")
    return Table("ensemble", caption, head, body, text_columns=3)


def configuration_text(configuration: Mapping[str, Any]) -> str:
    """Return the configuration as YAML; lists and mappings of more than 20 plain values run on within lines."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def sequence(dumper: yaml.SafeDumper, values: Any) -> yaml.Node:
        flow = len(values) > _LONG and all(map(_is_plain, values))
        return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flow)

    def mapping(dumper: yaml.SafeDumper, values: Any) -> yaml.Node:
        flow = len(values) > _LONG and all(map(_is_plain, values.values()))
        return dumper.represent_mapping("tag:yaml.org,2002:map", values.items(), flow_style=flow)

    Dumper.add_representer(list, sequence)
    Dumper.add_representer(tuple, sequence)
    Dumper.add_representer(dict, mapping)
    return str(
        yaml.dump(configuration, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    )


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float))
