"""How every figure looks: type, lines, hatches and colours that stay apart in black and white; and how it is saved.

Figures are made without pyplot: no global state, no display. The same data give the same bytes of SVG.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from gradmix.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

RC: Any = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same on every machine
    "font.size": 9,
    "text.parse_math": False,  # a `$` in a title is a dollar
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": 160,
    "svg.hashsalt": "gradmix",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}

# Okabe and Ito's colours (told apart by colour-blind readers), without yellow, which is lost on white paper.
COLOURS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#777777")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.2, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (3, 1.2, 1.2, 1.2, 1.2, 1.2)),
    (0, (9, 2)),
    (0, (2.5, 2.5)),
    (0, (8, 1.5, 3, 1.5)),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")


def line_look(position: int) -> dict[str, Any]:
    """Return colour, dashes and marker of the line at `position`: no two of the first forty share all three."""
    return {
        "color": COLOURS[position % len(COLOURS)],
        "linestyle": DASHES[position % len(DASHES)],
        "marker": MARKERS[position % len(MARKERS)],
    }


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function under the house style, leaving matplotlib's global settings alone."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib

        with matplotlib.rc_context(RC):
            return function(*args, **kwargs)

    return wrapper


def new_figure(width: float, height: float, *, arrange: bool = True) -> Figure:
    """Return an empty figure of `width` x `height` inches, whose parts arrange themselves unless told not to."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained" if arrange else None)
    FigureCanvasAgg(figure)
    return figure


def message_figure(text: str) -> Figure:
    """Return a figure that says why there is nothing to draw."""
    figure = new_figure(6, 1.2, arrange=False)
    figure.text(0.5, 0.5, text, ha="center", va="center", wrap=True)
    return figure


def hide_unused(panels: Sequence[Axes], used: int, columns: int) -> None:
    """Hide the panels of a grid behind the used ones; the last of every column gets the tick labels below it."""
    for panel in panels[used:]:
        panel.set_visible(False)
    for panel in panels[max(0, used - columns) : used]:
        panel.xaxis.set_tick_params(labelbottom=True)


@styled
def save(figure: Figure, stem: str | Path) -> list[Path]:
    """Write `stem`.svg, .png and .pdf, free of dates and versions, and return their paths."""
    stem = Path(stem)
    # Axes of fixed aspect find their place in the second round only. After that, all formats share one arrangement.
    for _ in range(2):
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    metadata: dict[str, dict[str, Any]] = {
        "svg": {"Date": None, "Creator": None},
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    written = []
    for kind, nothing in metadata.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata=nothing)
        path = stem.with_name(f"{stem.name}.{kind}")
        write_bytes(path, buffer.getvalue())
        written.append(path)
    return written
