"""Pictures of the page: results in, figures out. Colours are those of the project's figures."""

import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from benchmarks.tables import number
from benchmarks.variants import LIMIT, SAME_IMAGES, VARIANTS
from gradmix.files import write_bytes
from gradmix.results.figures.style import COLOURS, RC, line_look, new_figure, styled

Row = Mapping[str, Any]
# A picture of more bytes is too heavy for a page.
MOST_BYTES = 150_000
PART_COLOURS = {
    "sources: forward": "#56b4e9",
    "V: forward": "#a6dcf7",
    "all: forward": "#56b4e9",
    "sources: backward": "#0072b2",
    "V: backward": "#7fb8d8",
    "all: backward": "#0072b2",
    "Gram": "#e69f00",
    "solve": "#000000",
    "mixture": "#d55e00",
    "update": "#009e73",
}


def digest_of(result: Row) -> str:
    """What a picture says about the data that it was drawn from."""
    return hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()[:16]


def write_svg(figure: Figure, path: Path, result: Row) -> None:
    """The picture, with the digest of its data inside; text is text, a third of the size of its outlines."""
    for _ in range(2):
        figure.draw_without_rendering()
    buffer = io.BytesIO()
    described = {"Date": None, "Creator": None, "Description": f"data {digest_of(result)}"}
    with matplotlib.rc_context({**RC, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata=described)
    content = b"\n".join(line.strip() for line in buffer.getvalue().split(b"\n"))
    # Verdana's letters are as wide as DejaVu's, which not every reader has.
    content = content.replace(b"'DejaVu Sans'", b"'DejaVu Sans', Verdana, sans-serif")
    # Hundredths of a point are enough; scales, which are below 1, stay as they are.
    content = re.sub(rb"\b([1-9]\d*\.\d\d)\d+", rb"\1", content)
    assert len(content) < MOST_BYTES, f"{path}: {len(content)} bytes"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)


def _plain_numbers(axis: Any, ticks: Sequence[float] | None = None) -> None:
    """Numbers instead of powers of ten; at ``ticks`` only."""
    if ticks is not None:
        axis.set_ticks(list(ticks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _error(spread: Row) -> list[list[float]]:
    low, high = spread["quartiles"]
    return [[spread["median"] - low], [high - spread["median"]]]


@styled
def step(result: Row) -> Figure:
    """Ratio to the limit of every variant, a panel per case."""
    cases = _by(result["rows"], "case")
    names = [name for name in VARIANTS if name != LIMIT]
    columns = min(4, len(cases))
    lines = -(-len(cases) // columns)
    figure = new_figure(3.0 + 2.1 * columns, 0.5 + 2.5 * lines)
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False).flatten()
    for panel, (case, rows) in zip(panels, cases.items(), strict=False):
        by_name = {row["variant"]: row for row in rows if "to_limit" in row}
        panel.axvline(1, color="#000000", linewidth=1)
        goal = rows[0]["goal"]
        if goal is not None:
            panel.axvline(goal, color="#777777", linewidth=1, linestyle=(0, (4, 2)))
        for position, name in enumerate(names):
            if name in by_name:
                spread = by_name[name]["to_limit"]
                panel.errorbar(
                    spread["median"], position, xerr=_error(spread), fmt="o",
                    color=_colour(name), capsize=2, markersize=5,
                )  # fmt: skip
        panel.set_xscale("log")
        ratios = [row["to_limit"]["median"] for row in by_name.values()]
        _ratio_ticks(panel, min(ratios), max(ratios))
        panel.set_title(case)
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(len(names) - 0.5, -0.5)
    for panel in panels[len(cases) :]:
        panel.set_visible(False)
    figure.supxlabel(
        "time of a step / limit (one joined forward and backward pass); dashed: goal", size=9
    )
    return figure


def _ratio_ticks(panel: Axes, low: float, high: float) -> None:
    steps = [0.25, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000]
    if high / low > 6:
        steps = [0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    if high / low > 60:
        steps = [0.1, 1, 10, 100, 1000]
    panel.set_xlim(min(0.9, low / 1.15), max(1.25, high * 1.25))
    left, right = panel.get_xlim()
    _plain_numbers(panel.xaxis, [tick for tick in steps if left <= tick <= right])
    panel.xaxis.set_minor_locator(NullLocator())


def _colour(name: str) -> str:
    if name.startswith("GradMix"):
        return "#d55e00"
    return "#0072b2" if name.startswith("TorchJD") else "#000000"


@styled
def parts(result: Row) -> Figure:
    """Shares of a step's parts, a bar per case."""
    cases = _by(result["parts"], "case")
    figure = new_figure(8.5, 1.3 + 0.36 * len(cases))
    panel = figure.subplots()
    named: set[str] = set()
    for position, rows in enumerate(cases.values()):
        start = 0.0
        whole = sum(row["ms"]["median"] for row in rows)
        for row in rows:
            width = 100 * row["ms"]["median"] / whole
            panel.barh(
                position, width, left=start, height=0.7,
                color=PART_COLOURS[row["part"]], edgecolor="white", linewidth=0.6,
                label=None if _short(row["part"]) in named else _short(row["part"]),
            )  # fmt: skip
            named.add(_short(row["part"]))
            start += width
        panel.text(101, position, f"{number(whole)} ms", va="center", size=8)
    panel.set_yticks(range(len(cases)), list(cases))
    panel.set_ylim(len(cases) - 0.4, -0.6)
    panel.set_xlim(0, 112)
    panel.set_xticks(range(0, 101, 20))
    panel.set_xlabel("share of a GradMix step (%)")
    figure.legend(loc="outside upper center", ncols=4)
    return figure


def _short(part: str) -> str:
    return part.removeprefix("sources: ").removeprefix("all: ")


@styled
def memory(result: Row) -> Figure:
    """Peak memory above plain training on the sources and V, in gradients, a bar per variant and case."""
    rows = [row for row in result["rows"] if "gradients_above_same_images" in row]
    cases = _by(rows, "case")
    names = [n for n in VARIANTS if n != SAME_IMAGES and any(row["variant"] == n for row in rows)]
    columns = min(4, len(cases))
    lines = -(-len(cases) // columns)
    figure = new_figure(3.0 + 2.1 * columns, 0.5 + 2.4 * lines)
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False).flatten()
    for panel, (case, case_rows) in zip(panels, cases.items(), strict=False):
        by_name = {row["variant"]: row for row in case_rows}
        for position, name in enumerate(names):
            if name in by_name:
                value = by_name[name]["gradients_above_same_images"]
                panel.barh(position, value, height=0.6, color=_colour(name))
        panel.axvline(0, color="#000000", linewidth=0.8)
        goal = case_rows[0]["sources"] + 1
        panel.axvline(goal, color="#777777", linewidth=1, linestyle=(0, (4, 2)))
        panel.set_title(case)
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(len(names) - 0.5, -0.5)
    for panel in panels[len(cases) :]:
        panel.set_visible(False)
    figure.supxlabel(
        "peak memory above plain training on the same images (gradients of the network); dashed: K + 1",
        size=9,
    )
    return figure


def scaling(axis: str) -> Callable[[Row], Figure]:
    """The picture of one axis."""
    label = {
        "sources": "sources K",
        "layers": "shared layers L",
        "parameters": "parameters P",
    }[axis]

    @styled
    def draw(result: Row) -> Figure:
        steps = [row for row in result["steps"] if row["axis"] == axis and "ms" in row]
        weights = [row for row in result["weights"] if row["axis"] == axis]
        figure = new_figure(11.5 if weights else 8.0, 4.0)
        panels = figure.subplots(1, 3 if weights else 2)
        for position, (part, rows) in enumerate(_by(steps, "part").items()):
            _line(panels[0], axis, rows, "ms", part, line_look(position))
        whole = [row for row in steps if "to_limit" in row]
        for position, (part, rows) in enumerate(_by(whole, "part").items()):
            _line(panels[1], axis, rows, "to_limit", part, line_look(position + 1))
        panels[1].legend(fontsize=7.5)
        panels[1].axhline(1, color="#000000", linewidth=1)
        panels[0].set_ylabel("ms a step")
        panels[1].set_ylabel("whole step / limit")
        panels[0].set_title("Parts of mixing, and the step")
        panels[1].set_title("The step beside its limit")
        panels[0].legend(fontsize=7)
        if weights:
            for position, (name, rows) in enumerate(_by(weights, "solver").items()):
                _line(panels[2], axis, rows, "ms", name, line_look(position))
            panels[2].set_title("Weights alone")
            panels[2].set_ylabel("ms a call")
            panels[2].legend(fontsize=7)
        values = sorted({row[axis] for row in steps})
        for panel in panels:
            panel.set_xscale("log")
            panel.set_xlabel(label)
            if axis != "parameters":
                _plain_numbers(panel.xaxis, values)
                panel.xaxis.set_minor_locator(NullLocator())
        panels[0].set_yscale("log")
        panels[-1].set_yscale("log" if weights else "linear")
        if max(row["to_limit"]["median"] for row in whole) > 4:
            panels[1].set_yscale("log")
            _plain_numbers(panels[1].yaxis)
        else:
            panels[1].set_ylim(bottom=0)
        return figure

    return draw


def _line(panel: Axes, axis: str, rows: Sequence[Row], key: str, label: str, look: Row) -> None:
    values = [row[axis] for row in rows]
    panel.plot(values, [row[key]["median"] for row in rows], label=label, **look)
    low, high = zip(*(row[key]["quartiles"] for row in rows), strict=True)
    panel.fill_between(values, low, high, color=look["color"], alpha=0.15, linewidth=0)


@styled
def packs(result: Row) -> Figure:
    """Steps of all models together in a second, by how many train side by side."""
    figure = new_figure(6.0, 3.3)
    panel = figure.subplots()
    done = [row for row in result["rows"] if "error" not in row]
    for position, (how, rows) in enumerate(_by(done, "how").items()):
        values = [row["models"] for row in rows]
        rates = [row["models_steps_per_second"] for row in rows]
        panel.plot(values, rates, label=how, **line_look(position))
    if result["knee"]:
        panel.axvline(result["knee"]["models"], color="#777777", linewidth=1, linestyle=(0, (4, 2)))
    panel.set_xscale("log", base=2)
    panel.set_ylim(bottom=0)
    _plain_numbers(panel.xaxis, sorted({row["models"] for row in done}))
    panel.set_xlabel("models side by side (dashed: the smallest pack within 10 % of the best)")
    panel.set_ylabel("steps of all models, per second")
    panel.legend()
    return figure


@styled
def extraction(result: Row) -> Figure:
    """Milliseconds per clip by decoder; clips per second by processes."""
    figure = new_figure(8.5, 2.6)
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    decoders = result["decoders"]
    for position, row in enumerate(decoders):
        low, high = row["ms_spread"]
        error = [[row["ms_per_clip"] - low], [high - row["ms_per_clip"]]]
        colour = "#d55e00" if "ours" in row["decoder"] else "#0072b2"
        left.barh(position, row["ms_per_clip"], height=0.6, color=colour, xerr=error, capsize=2)
    left.set_yticks(range(len(decoders)), [row["decoder"] for row in decoders])
    left.set_ylim(len(decoders) - 0.5, -0.5)
    left.set_xlabel("ms per clip (median and range)")
    values = [row["processes"] for row in result["processes"]]
    right.plot(values, [row["clips_per_second"] for row in result["processes"]], **line_look(1))
    right.set_xticks(values)
    right.set_ylim(bottom=0)
    right.set_xlabel("processes")
    right.set_ylabel("clips per second")
    return figure


@styled
def data_loading(result: Row) -> Figure:
    """Shares of a training step that wait for images and make the input."""
    rows = result["training"]
    figure = new_figure(6.5, 0.9 + 0.45 * len(rows))
    panel = figure.subplots()
    names = [
        f"{row['clips']:,} clips ({row['files_mb']:,} MB), {row['cache']} cache" for row in rows
    ]
    for position, row in enumerate(rows):
        wait, made = row["waiting_percent"], row["input_percent"]
        first = position == 0
        panel.barh(position, wait, height=0.6, color=COLOURS[1], label="waiting" if first else None)
        panel.barh(
            position, made, left=wait, height=0.6, color=COLOURS[2],
            label="making the input" if first else None,
        )  # fmt: skip
    panel.set_yticks(range(len(rows)), names)
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.set_xlabel("share of a training step (%)")
    panel.legend()
    return figure


@styled
def startup(result: Row) -> Figure:
    """Processor seconds of imports, of a training job up to its first step, and of a dry run."""
    seconds = {f"import: {name}": row["processor_s"] for name, row in result["imports"].items()}
    seconds["a training job, up to its first step"] = result["training"]["first_step_processor_s"]
    seconds["a dry run of the workflow"] = result["dry_run"]["processor_s"]
    figure = new_figure(7.5, 0.8 + 0.28 * len(seconds))
    panel = figure.subplots()
    panel.barh(range(len(seconds)), list(seconds.values()), height=0.6, color=COLOURS[2])
    panel.set_yticks(range(len(seconds)), list(seconds))
    panel.set_ylim(len(seconds) - 0.5, -0.5)
    panel.set_xlabel("processor seconds of a process")
    return figure


def _by(rows: Sequence[Row], key: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return groups
