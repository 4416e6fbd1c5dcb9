"""Names of the files of tables: known before any record is."""

from __future__ import annotations

FORMATS = ("csv", "md", "tex")


def units(has_clips: bool) -> dict[str, str]:
    """What accuracies are counted by: column of metrics -> words for captions, empty where there are images only."""
    if not has_clips:
        return {"accuracy": ""}
    return {"accuracy": " per frame", "accuracy_per_video": " per video"}


def renewed(column: str) -> str:
    """Return the column of the same accuracies with batch-norm statistics re-estimated on V; its table's stem."""
    return f"{column}_statistics_on_V"


def stem_for(column: str, what: str) -> str:
    """Return the stem of a kind of table of a column of metrics: `accuracy_per_video` -> `<what>_per_video`."""
    return column.replace("accuracy", what, 1)


def table_files(
    has_clips: bool = False, *, has_conditions: bool = False, mixes: bool = False
) -> tuple[str, ...]:
    """Return the files of an experiment's tables; `mixes`: whether any listed method mixes gradients by weights."""
    columns = units(has_clips)
    stems = [*columns, *map(renewed, columns), "data"]
    stems += [stem_for(column, "paired_differences") for column in columns]
    if has_clips:
        stems.append("table3")
    if has_conditions:
        stems += [stem_for(column, "conditions") for column in columns]
    files = [f"{stem}.{kind}" for stem in stems for kind in FORMATS]
    return (*files, "runs.csv", *(["weights.csv"] if mixes else []))
