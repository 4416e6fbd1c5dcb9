"""Tables of the page: rows of a record in, Markdown out."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.parts import PARTS
from benchmarks.variants import EXACT, LIMIT

Row = Mapping[str, Any]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """A table whose first ``words`` columns are words, the others numbers."""
    line = [":--" if index < words else "--:" for index in range(len(header))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, line, *rows))


def number(value: Any, digits: int = 3) -> str:
    """A number as it is read: three significant digits, thousands with commas."""
    if isinstance(value, Mapping):
        return number(value["median"], digits)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        rounded = float(f"{value:.{digits}g}")
        return f"{rounded:,.0f}" if abs(rounded) >= 10 ** (digits - 1) else f"{rounded:.{digits}g}"
    return str(value)


def with_quartiles(value: Row) -> str:
    """Median and quartiles of a spread."""
    low, high = value["quartiles"]
    if value["n"] == 1:
        return f"{value['median']:.2f} (one call)"
    return f"{value['median']:.2f} ({low:.2f}–{high:.2f})"


def step_table(result: Row) -> str:
    """A row per case and variant."""
    rows = []
    for row in result["rows"]:
        if "skipped" in row:
            rows.append([row["case"], row["variant"], row["skipped"], "", "", "", "", ""])
            continue
        above = [row.get(f"gradients_above_{name}") for name in ("plain", "same_images")]
        rows.append(
            [
                row["case"],
                row["variant"],
                number(row["ms"]),
                with_quartiles(row["to_limit"]),
                number(row.get("peak_mb")),
                *("" if value is None else f"{value:+.2f}" for value in above),
                str(row["ms"]["n"]),
            ]
        )
    header = ["case", "step", "ms", "ratio to the limit (quartiles)"]
    header += ["peak memory, MB", "above plain sum, gradients", "above sum with V, gradients", "n"]
    return markdown(header, rows, 2)


def goals(result: Row) -> str:
    """A sentence per goal: what was aimed at and what is there."""
    by_case: dict[str, dict[str, Row]] = {}
    for row in result["rows"]:
        if "skipped" not in row:
            by_case.setdefault(row["case"], {})[row["variant"]] = row
    lines = []
    for case, rows in by_case.items():
        ours = {name: row for name, row in rows.items() if name.startswith(EXACT) and _exact(name)}
        if LIMIT not in rows or not ours:
            continue
        best = min(ours, key=lambda name: ours[name]["to_limit"]["median"])
        ratio, goal = ours[best]["to_limit"]["median"], ours[best]["goal"]
        words = f"{best} takes {ratio:.2f} × the limit"
        if goal is not None:
            words += f" (goal: {goal:.2f}, {'met' if ratio <= goal else 'not met'})"
        peers = {name: row for name, row in rows.items() if name.startswith("TorchJD")}
        if peers:
            peer = min(peers, key=lambda name: peers[name]["to_limit"]["median"])
            factor = peers[peer]["to_limit"]["median"] / ratio
            words += f"; {peer}, the fastest peer, {factor:.2f} × as long as ours"
        memory = ours[best].get("gradients_above_same_images")
        if memory is not None:
            most = ours[best]["sources"] + 1
            met = "met" if memory <= most else "not met"
            # V's activations are what any method that looks at V needs, and no gradients.
            words += (
                f"; peak memory {memory:+.2f} gradients above plain training on the same images "
                f"(goal: {most}, {met}), {ours[best]['gradients_above_plain']:+.2f} above training without V"
            )
        lines.append(f"- {case}: {words}.")
    return "\n".join(lines)


def _exact(name: str) -> bool:
    return "SLSQP" not in name and "SGD" not in name


def parts_table(result: Row) -> str:
    """A row per case: shares of the parts."""
    there = {row["part"] for row in result["parts"]}
    parts = [part for part in PARTS if part in there]
    cases: dict[str, dict[str, Row]] = {}
    for row in result["parts"]:
        cases.setdefault(row["case"], {})[row["part"]] = row
    rows = []
    for case, measured in cases.items():
        whole = sum(row["ms"]["median"] for row in measured.values())
        shares = [
            f"{100 * measured[part]['share']['median']:.2g} %" if part in measured else ""
            for part in parts
        ]
        rows.append([case, number(whole), *shares])
    return markdown(["case", "step, ms", *parts], rows)


def profile_table(result: Row) -> str:
    """The top operations."""
    rows = [
        [
            f"`{r['operation']}`",
            number(r["own_ms"]),
            f"{100 * r['share']:.1f} %",
            number(r["calls"]),
        ]
        for r in result["rows"]
    ]
    return markdown(["operation", "own time, ms a step", "share", "calls a step"], rows)


def scaling_table(result: Row, axis: str) -> str:
    """A row per value of one axis: mixing, the whole step, and the weights alone by solver."""
    values = list(dict.fromkeys(row[axis] for row in result["steps"] if row["axis"] == axis))
    solvers = list(dict.fromkeys(r["solver"] for r in result["weights"] if r["axis"] == axis))
    rows = []
    for value in values:
        steps = {r["part"]: r for r in result["steps"] if r["axis"] == axis and r[axis] == value}
        whole = steps["whole step"]
        if "skipped" in whole:
            rows.append([number(value), whole["skipped"], *[""] * (3 + len(solvers))])
            continue
        line = [number(value), number(steps["mixing"]["ms"]), number(whole["ms"])]
        line.append(with_quartiles(whole["to_limit"]))
        line.append(with_quartiles(steps["whole step, together"]["to_limit"]))
        weights = {
            r["solver"]: r for r in result["weights"] if r["axis"] == axis and r[axis] == value
        }
        for solver in solvers:
            row = weights.get(solver)
            text = "given up" if row is None else number(row["ms"])
            line.append(f"> {text}" if row is not None and row["gave_up"] else text)
        rows.append(line)
    header = [axis, "mixing, ms", "whole step, ms", "step / limit", "together / limit"]
    return markdown([*header, *(f"weights, ms: {name}" for name in solvers)], rows, 0)


def plain_table(rows: Sequence[Row]) -> str:
    """Any list of rows: their keys are the header, words are aligned as words."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    words = [key for key in keys if any(isinstance(row.get(key), str) for row in rows)]
    keys = words + [key for key in keys if key not in words]
    body = [[_cell(row.get(key)) for key in keys] for row in rows]
    return markdown([key.replace("_", " ") for key in keys], body, max(1, len(words)))


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "–".join(number(item) for item in value)
    if isinstance(value, Mapping) and "median" in value:
        return with_quartiles(value) if "quartiles" in value else number(value)
    return number(value)


def any_tables(result: Row) -> str:
    """All lists of rows in a result, each under its name, and what stands beside them."""
    texts = []
    for key, value in result.items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            name = "" if key == "rows" else f"{key.replace('_', ' ').capitalize()}:\n\n"
            texts.append(name + plain_table(value))
        elif isinstance(value, Mapping):
            if all(isinstance(item, Mapping) and "median" not in item for item in value.values()):
                rows = [{key.replace("_", " "): name, **item} for name, item in value.items()]
                texts.append(plain_table(rows))
            else:
                flat = [{key.replace("_", " "): n, "value": v} for n, v in value.items()]
                texts.append(plain_table([row for row in flat if not _nested(row["value"])]))
                nested = {n: v for n, v in value.items() if _nested(v)}
                if nested:
                    texts.append(any_tables({key: nested}))
    return "\n\n".join(texts)


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping) and "median" not in value
