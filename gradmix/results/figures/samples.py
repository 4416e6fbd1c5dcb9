"""Figure: images of every set with their labels, and unlabelled ones with the pseudo-labels that they got."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gradmix.domains.format import Domain, open_domain
from gradmix.results.figures.style import new_figure, save, styled
from gradmix.results.records import read_json

COLUMNS = 10
_LABEL_SIZE = 6.5


@dataclass(frozen=True)
class Strip:
    """One row of the figure: its name; per image the pixels (H, W, C) uint8, a caption, and whether it is wrong."""

    title: str
    images: list[np.ndarray]
    captions: list[str]
    wrong: list[bool]


def _class_of(domain: Domain, row: int) -> str:
    return domain.classes[int(domain.labels[row])]


def choose(
    rows: Sequence[int], labels: Sequence[int] | np.ndarray, count: int, seed: int
) -> list[int]:
    """Return positions of up to `count` of `rows`, in turn from class after class, at random within a class."""
    order = np.random.default_rng(seed).permutation(len(rows))
    by_class: dict[int, list[int]] = {}
    for position in order:
        by_class.setdefault(int(labels[position]), []).append(int(position))
    turns = [by_class[label] for label in sorted(by_class)]
    if len(turns) > count:  # more classes than places: spread them evenly
        turns = [turns[i] for i in np.linspace(0, len(turns) - 1, count).round().astype(int)]
    chosen: list[int] = []
    depth = 0
    while len(chosen) < min(count, sum(map(len, turns))):
        chosen += [turn[depth] for turn in turns if len(turn) > depth]
        depth += 1
    chosen = chosen[:count]
    return sorted(chosen, key=lambda position: (int(labels[position]), chosen.index(position)))


def _strip(
    title: str,
    domain: Domain,
    rows: Sequence[int],
    seed: int,
    *,
    labels: Sequence[int] | np.ndarray | None = None,
    caption: Callable[[int], tuple[str, bool]] | None = None,
) -> Strip:
    shown_labels = domain.labels[list(rows)] if labels is None else labels
    positions = choose(rows, shown_labels, COLUMNS, seed)
    said = [
        caption(position) if caption else (_class_of(domain, rows[position]), False)
        for position in positions
    ]
    return Strip(
        f"{title}\n{domain.name}\n{len(rows):,} images",
        [np.asarray(domain.images[rows[position]]) for position in positions],
        [text for text, _ in said],
        [wrong for _, wrong in said],
    )


def _pseudo_strips(target: Domain, predictions: pd.DataFrame, seed: int) -> list[Strip]:
    """Two strips of U: accepted images with their pseudo-label, and others with the most likely class."""
    soft_columns = [f"soft_{label}" for label in range(len(target.classes))]
    soft = predictions[soft_columns].to_numpy()
    accepted = predictions["label"].to_numpy() >= 0
    strips = []
    for is_accepted, title in ((True, "U, accepted"), (False, "U, not accepted")):
        chosen = predictions[accepted == is_accepted]
        rows = [int(row) for row in chosen["row"]]
        guess = soft[accepted == is_accepted].argmax(axis=1)
        labels = chosen["label"].to_numpy() if is_accepted else guess
        likely = soft[accepted == is_accepted].max(axis=1)

        def caption(
            position: int,
            rows: list[int] = rows,
            labels: np.ndarray = labels,
            likely: np.ndarray = likely,
            sure: bool = is_accepted,
        ) -> tuple[str, bool]:
            name = target.classes[int(labels[position])]
            truth = _class_of(target, rows[position])
            text = name if sure else f"{name}? {100 * likely[position]:.0f} %"
            return (text, False) if name == truth else (f"{text}\n(is {truth})", True)

        strips.append(_strip(title, target, rows, seed, labels=labels, caption=caption))
    return strips


def collect(
    domains_folder: str | Path,
    split_file: str | Path,
    predictions_file: str | Path | None,
    *,
    seed: int = 0,
) -> list[Strip]:
    """Return the strips of one split: sources, V, H, U (with pseudo-labels if there are any) and test.

    Raises `ValueError` naming the domain or file that cannot be read.
    """
    folder = Path(domains_folder)
    split = read_json(split_file)
    strips = []
    for position, (name, left_out) in enumerate(split.get("source_left_out", {}).items()):
        source = open_domain(folder / name)
        gone = set(left_out)
        rows = [row for row in range(len(source.labels)) if row not in gone]
        strips.append(_strip(f"S{position + 1}", source, rows, seed))
    target = open_domain(folder / split["target"])
    strips += [_strip(name, target, split[name], seed) for name in ("V", "H")]
    if predictions_file is None:
        strips.append(_strip("U, labels unseen", target, split["U"], seed))
    else:
        try:
            predictions = pd.read_parquet(predictions_file)
        except (OSError, ValueError) as error:
            raise ValueError(f"{predictions_file}: cannot be read as Parquet ({error})") from error
        strips += _pseudo_strips(target, predictions, seed)
    test = open_domain(folder / (split.get("test_domain") or split["target"]))
    return [*strips, _strip("test", test, split["test"], seed)]


@styled
def draw(strips: Sequence[Strip]) -> Figure:
    """Draw one row of images per strip, each with its label below; wrong pseudo-labels are framed and say the truth."""
    cell_width, cell_height, margin = 1.0, 1.42, 2.05
    scale = 0.62  # inches per unit
    width = scale * (margin + COLUMNS * cell_width)
    figure = new_figure(width, scale * cell_height * len(strips), arrange=False)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for number, strip in enumerate(strips):
        top = number * cell_height
        axes.text(-0.12, top + 0.45, strip.title, ha="right", va="center", fontsize=7.5)
        if not strip.images:
            axes.text(0, top + 0.45, "none", ha="left", va="center", fontsize=8)
        for column, (pixels, caption, wrong) in enumerate(
            zip(strip.images, strip.captions, strip.wrong, strict=True)
        ):
            left = column * cell_width
            extent = (left, left + 0.9, top + 0.9, top)
            grey: dict[str, Any] = (
                {"cmap": "gray", "vmin": 0, "vmax": 255} if pixels.shape[2] == 1 else {}
            )
            axes.imshow(
                pixels.squeeze(2) if grey else pixels,
                extent=extent,
                interpolation="nearest",
                **grey,
            )
            weight = "bold" if wrong else "normal"
            axes.text(
                left + 0.45,
                top + 0.95,
                caption,
                ha="center",
                va="top",
                fontsize=_LABEL_SIZE,
                weight=weight,
            )
            if wrong:
                corners = np.array([(0, 0), (0.9, 0), (0.9, 0.9), (0, 0.9), (0, 0)])
                axes.plot(
                    *(corners + np.array([left, top])).T,
                    color="#d55e00",
                    linewidth=2.5,
                    linestyle="--",
                )
    axes.set_xlim(-margin, COLUMNS * cell_width)
    axes.set_ylim(len(strips) * cell_height - 0.05, -0.05)
    axes.set_aspect("equal")
    return figure


def write(
    domains_folder: str | Path,
    split_file: str | Path,
    predictions_file: str | Path | None,
    stem: str | Path,
    *,
    seed: int = 0,
) -> list[Path]:
    """Read the domains of one split and its predictions.parquet (or None); write `stem`.svg, .png and .pdf."""
    return save(draw(collect(domains_folder, split_file, predictions_file, seed=seed)), stem)
