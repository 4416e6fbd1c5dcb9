"""Figure: images of every set with their labels, and unlabelled ones with the pseudo-labels that they got.

Of domains of clips: a few clips of every set, each a row of its frames in order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradmix.domains.format import Domain, open_domain
from gradmix.results.figures.declaration import Drawing, FigureKind, Files
from gradmix.results.figures.style import new_figure, styled
from gradmix.results.records import named, read_json, read_parquet

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gradmix.config.experiment import Config


def open_domains(files: Iterable[str | Path]) -> dict[str, Domain]:
    """Return the domains by name, from any files of theirs."""
    folders = dict.fromkeys(Path(file).parent for file in files)
    return {folder.name: open_domain(folder) for folder in folders}


def read_first_split(files: Sequence[str | Path]) -> dict[str, Any]:
    """Return the split in the first of the files."""
    return read_json(files[0])


def read_first_predictions(files: Iterable[str | Path]) -> pd.DataFrame:
    """Return the first predictions.parquet among the files."""
    return read_parquet(next(file for file in files if Path(file).suffix == ".parquet"))


def _drawings(experiment: Config) -> list[Drawing]:
    files = {"domains": Files("domains"), "split": Files("splits")}
    if any(experiment.recipe(name).needs_pseudo_labels for name in experiment.methods):
        files["predictions"] = Files("predictions")
    # All k have one figure of their first.
    title = f"k = {experiment.labels_per_class[0]}"
    shown = {*experiment.all_sources(), experiment.target.domain, experiment.test_domain()}
    classes = {name: experiment.class_names(name) for name in sorted(shown)}
    return [Drawing(files, {"seed": experiment.seed, "classes": classes}, title=title)]


FIGURE = FigureKind(
    section="data",
    title="Images of every set",
    caption="One row per set, for one draw. Below each image stands its label; in U it stands for what the models "
    "said, and a dashed frame marks a pseudo-label that is wrong, with the truth in brackets (unseen in training). Of "
    "clips, a row shows the frames of one in order, and the label below the first is that of all.",
    readers={
        "domains": open_domains,
        "split": read_first_split,
        "predictions": read_first_predictions,
    },
    drawings=_drawings,
    format="png",  # photographs
)

COLUMNS = 10
CLIPS = 3
_LABEL_SIZE = 6.5
_LETTERS = 11  # of a label that fit below an image
_SMALL = 64  # pixels; larger images are smoothed when they are drawn smaller


@dataclass(frozen=True)
class Strip:
    """One row of the figure: its name; per image the pixels (H, W, C) uint8, a caption, and whether it is wrong."""

    title: str
    images: list[np.ndarray]
    captions: list[str]
    wrong: list[bool]


def _class_name(domain: Domain, row: int) -> str:
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


def wrapped(text: str, letters: int = _LETTERS, lines: int = 2) -> str:
    """Return `text` in up to `lines` lines of so many letters, broken at spaces, underscores and inner capitals."""
    pieces = re.findall(r"[A-Z]?[^A-Z\s_]+[\s_]*|[A-Z]+[\s_]*|[\s_]+", text)
    broken = [""]
    for piece in pieces:
        if broken[-1] and len((broken[-1] + piece).rstrip()) > letters:
            broken.append("")
        broken[-1] += piece
    broken = [line.rstrip() for line in broken]
    if len(broken) > lines:
        broken = [*broken[: lines - 1], f"{broken[lines - 1][: letters - 1]}…"]
    return "\n".join(
        line if len(line) <= letters + 1 else f"{line[: letters - 1]}…" for line in broken
    )


def frames_by_clip(domain: Domain, rows: Sequence[int]) -> dict[str, list[int]] | None:
    """Return the positions in `rows` of every clip's frames, in the order of the domain; None where rows have none."""
    if not len(rows):
        return None
    clips = domain.column("clip")[list(rows)]
    if not all(clips):
        return None
    frames: dict[str, list[int]] = {}
    for position in np.argsort(np.asarray(rows), kind="stable"):
        frames.setdefault(str(clips[position]), []).append(int(position))
    return frames


def _strips(
    title: str,
    domain: Domain,
    rows: Sequence[int],
    seed: int,
    *,
    labels: Sequence[int] | np.ndarray | None = None,
    caption: Callable[[int], tuple[str, bool]] | None = None,
) -> list[Strip]:
    """The strip of one set of images, or the strips of a few of its clips; the first one says what the set is.

    `caption` gives the words below the image at a position in `rows`, and whether they are wrong; without it the class
    stands there, and below the first frame of a clip only.
    """
    shown_labels = domain.labels[list(rows)] if labels is None else np.asarray(labels)
    clips = frames_by_clip(domain, rows)
    if clips is None:
        chosen = [choose(rows, shown_labels, COLUMNS, seed)]
        count = f"{len(rows):,} images"
    else:
        every = list(clips.values())
        firsts = [int(shown_labels[positions[0]]) for positions in every]
        chosen = [every[i] for i in choose(firsts, firsts, CLIPS, seed)]
        count = f"{len(rows):,} frames\nof {len(clips):,} clip{'s' if len(clips) != 1 else ''}"
    # A clip counts for the label of its first frame; pseudo-labels may differ within one.
    first = [positions[:1] if clips else positions for positions in chosen]
    shown = {int(shown_labels[position]) for positions in first for position in positions}
    classes = len({int(label) for label in shown_labels})
    title = f"{title}\n{domain.name}\n{count}"
    if len(shown) < classes:
        title += f"\n{len(shown)} of {classes} classes"
    strips: list[Strip] = []
    for positions in chosen:
        if len(positions) > COLUMNS:  # frames spread evenly, the first and the last among them
            spread = np.linspace(0, len(positions) - 1, COLUMNS).round().astype(int)
            positions = [positions[i] for i in spread]
        said = [
            caption(position) if caption else (wrapped(_class_name(domain, rows[position])), False)
            for position in positions
        ]
        if clips is not None and caption is None:  # all frames of a clip have its label
            said = [(text if i == 0 else "", wrong) for i, (text, wrong) in enumerate(said)]
        strips.append(
            Strip(
                "" if strips else title,
                [np.asarray(domain.images[rows[position]]) for position in positions],
                [text for text, _ in said],
                [wrong for _, wrong in said],
            )
        )
    return strips


def _pseudo_strips(target: Domain, predictions: pd.DataFrame, seed: int) -> list[Strip]:
    """The strips of U: accepted images with their pseudo-label, and others with the most likely class."""
    soft_columns = [f"soft_{label}" for label in range(len(target.classes))]
    soft = predictions[soft_columns].to_numpy()
    accepted = predictions["label"].to_numpy() >= 0
    strips: list[Strip] = []
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
            truth = _class_name(target, rows[position])
            text = wrapped(name, _LETTERS - 1)  # bold, or with a question mark
            if not sure:
                share = f"{100 * likely[position]:.0f} %"
                text = f"{text}?{' ' if len(name) <= 4 else chr(10)}{share}"
            if name == truth:
                return text, False
            return f"{text}\n{wrapped(f'(is {truth})', lines=3)}", True

        strips += _strips(title, target, rows, seed, labels=labels, caption=caption)
    return strips


def collect(
    domains: Mapping[str, Domain],
    split: Mapping[str, Any],
    predictions: pd.DataFrame | None = None,
    *,
    seed: int = 0,
    classes: Mapping[str, Sequence[str] | None] | None = None,
) -> list[Strip]:
    """Return the strips of one split: sources, V, H, U (with pseudo-labels if there are any) and test."""
    domains = {
        name: replace(domain, info=named(domain.info, (classes or {}).get(name)))
        for name, domain in domains.items()
    }
    strips: list[Strip] = []
    for position, (name, left_out) in enumerate(split.get("source_left_out", {}).items()):
        source = domains[name]
        gone = set(left_out)
        rows = [row for row in range(len(source.labels)) if row not in gone]
        strips += _strips(f"S{position + 1}", source, rows, seed)
    target = domains[split["target"]]
    for name in ("V", "H"):
        strips += _strips(name, target, split[name], seed)
    if predictions is None:
        strips += _strips("U, labels unseen", target, split["U"], seed)
    else:
        strips += _pseudo_strips(target, predictions, seed)
    test = domains[split.get("test_domain") or split["target"]]
    return [*strips, *_strips("test", test, split["test"], seed)]


@styled
def draw(
    domains: Mapping[str, Domain],
    split: Mapping[str, Any],
    predictions: pd.DataFrame | None = None,
    *,
    seed: int = 0,
    classes: Mapping[str, Sequence[str] | None] | None = None,
) -> Figure:
    """Draw one row of images per strip of `collect`, each with its label below; wrong pseudo-labels are framed and say
    the truth.

    `classes`: names of each domain's classes; None: those in its files.
    """
    strips = collect(domains, split, predictions, seed=seed, classes=classes)
    margin = 2.05
    scale = 0.62  # inches per unit, the width of a cell
    heights = [_height(strip) for strip in strips]
    figure = new_figure(scale * (margin + COLUMNS), scale * sum(heights), arrange=False)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    top = 0.0
    for strip, height in zip(strips, heights, strict=True):
        axes.text(-0.12, top + 0.45, strip.title, ha="right", va="center", fontsize=7.5)
        if not strip.images:
            axes.text(0, top + 0.45, "none", ha="left", va="center", fontsize=8)
        for column, (pixels, caption, wrong) in enumerate(
            zip(strip.images, strip.captions, strip.wrong, strict=True)
        ):
            _cell(axes, column, top, pixels, caption, wrong)
        top += height
    axes.set_xlim(-margin, COLUMNS)
    axes.set_ylim(top - 0.05, -0.05)
    axes.set_aspect("equal")
    return figure


def _height(strip: Strip) -> float:
    """Height of a row: an image and its labels; at least two lines of them where images stand one by one."""
    lines = max((text.count("\n") + 1 for text in strip.captions if text), default=1)
    return 1.06 + 0.18 * max(lines, 2)


def _cell(
    axes: Axes, left: float, top: float, pixels: np.ndarray, caption: str, wrong: bool
) -> None:
    """Draw an image (H,W,C), its longer side 0.9 wide, with its caption below and a frame where that is wrong."""
    height, width = pixels.shape[:2]
    half_width, half_height = 0.45 * min(1, width / height), 0.45 * min(1, height / width)
    middle, centre = left + 0.45, top + 0.45
    extent = (middle - half_width, middle + half_width, centre + half_height, centre - half_height)
    grey: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255} if pixels.shape[2] == 1 else {}
    axes.imshow(
        pixels.squeeze(2) if grey else pixels,
        extent=extent,
        interpolation="nearest" if max(height, width) <= _SMALL else "antialiased",
        **grey,
    )
    weight = "bold" if wrong else "normal"
    place = (middle, top + 0.95)
    axes.text(*place, caption, ha="center", va="top", fontsize=_LABEL_SIZE, weight=weight)
    if wrong:
        corners = np.array([(0, 0), (0.9, 0), (0.9, 0.9), (0, 0.9), (0, 0)])
        line = (corners + np.array([left, top])).T
        axes.plot(*line, color="#d55e00", linewidth=2.5, linestyle="--")
