"""The part of the confusion figure for many classes: the pairs of classes that each method confuses most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradmix.results.figures.style import hide_unused, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAIRS = 10
_LONGEST = 22  # letters of a class name


@dataclass(frozen=True)
class Pair:
    """Images of class `true` given to class `predicted`: their share of the true class (%), and their number."""

    true: str
    predicted: str
    share: float
    images: int


def confused_pairs(counts_CC: np.ndarray, classes: Sequence[str], count: int = PAIRS) -> list[Pair]:
    """Return the `count` pairs with the largest share of a true class's images, the largest first.

    `counts_CC` are images [true][predicted]. Pairs that never occurred are left out; equal shares by number, then by
    the order of the classes.
    """
    totals = counts_CC.sum(axis=1)
    pairs = [
        Pair(classes[t], classes[p], 100 * float(counts_CC[t, p]) / totals[t], int(counts_CC[t, p]))
        for t, p in zip(*np.nonzero(counts_CC), strict=True)
        if t != p
    ]
    return sorted(pairs, key=lambda pair: (-pair.share, -pair.images))[:count]


def shortened(name: str, letters: int = _LONGEST) -> str:
    """Return `name`, its middle left out where it is longer than so many letters."""
    if len(name) <= letters:
        return name
    half = (letters - 1) // 2
    return f"{name[: letters - 1 - half]}…{name[-half:]}"


def draw_pairs(panels: Sequence[tuple[str, np.ndarray, Sequence[str]]]) -> Figure:
    """Draw a panel per method, a bar per pair (% of the true class's images); `panels` holds title, counts, classes."""
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(4.4 * columns + 0.2, (0.175 * PAIRS + 0.62) * rows + 0.45)
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    widest = 0.0
    for panel, (title, counts, classes) in zip(grid.flat, panels, strict=False):
        pairs = confused_pairs(counts, classes)
        mistakes = max(int(counts.sum() - np.trace(counts)), 1)
        held = 100 * sum(pair.images for pair in pairs) / mistakes
        right = 100 * np.trace(counts) / max(counts.sum(), 1)
        panel.set_title(f"{title}: {right:.1f} % right\nthese pairs: {held:.0f} % of its mistakes")
        panel.barh(range(len(pairs)), [pair.share for pair in pairs], color="#777777", height=0.7)
        for row, pair in enumerate(pairs):
            text = f"{pair.share:.0f}"
            panel.text(pair.share + 1, row, text, va="center", ha="left", fontsize=7)
        names = [f"{shortened(pair.true)} → {shortened(pair.predicted)}" for pair in pairs]
        panel.set_yticks(range(len(pairs)), names, fontsize=7)
        panel.set_ylim(PAIRS - 0.4, -0.6)
        widest = max([widest, *(pair.share for pair in pairs)])
        panel.grid(axis="y", visible=False)
    hide_unused(list(grid.flat), len(panels), columns)
    grid[0][0].set_xlim(0, max(1.15 * widest, 1))
    figure.supxlabel("images of the true class (left) taken for the other one (%)", fontsize=9)
    return figure
