"""Table 2: the grid of beta x gamma, what was selected beside what hindsight would take, and whether either matters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gradmix.files import write_text
from gradmix.results.layout import Cell, Table, percent, to_latex, to_markdown
from gradmix.results.statistics import Summary, summarise

_PERMUTATIONS = 10_000
COLUMNS = {
    "hyper_validation_accuracy": "accuracy on H",
    "accuracy": "test accuracy (for reading only)",
}


@dataclass(frozen=True)
class Effect:
    """Whether one factor of the grid matters: its F statistic, its p-value, and a p-value by permutation."""

    name: str
    statistic: float
    freedom: tuple[int, int]
    p: float
    permutation_p: float

    @property
    def text(self) -> str:
        """``beta: F(5, 40) = 1.54, p = 0.20 (by permutation 0.20)``."""
        return (
            f"{self.name}: F({self.freedom[0]}, {self.freedom[1]}) = {self.statistic:.2f}, p = {self.p:.2g} "
            f"(by permutation {self.permutation_p:.2g})"
        )


def read_grid(files: Iterable[str | Path]) -> pd.DataFrame:
    """The members of all draws in one table, accuracies in percent."""
    frame = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    for column in COLUMNS:
        frame[column] = 100 * frame[column]
    return frame


def cube(frame: pd.DataFrame, column: str) -> np.ndarray:
    """Values by draw, beta and gamma, (D, B, G), of the draws that have every cell.

    Raises:
        ValueError: if no draw has the whole grid.
    """
    wide = frame.pivot_table(index="draw", columns=["beta", "gamma"], values=column).dropna()
    if wide.empty:
        raise ValueError("no draw has every member of the grid")
    betas, gammas = frame["beta"].nunique(), frame["gamma"].nunique()
    return wide.to_numpy().reshape(len(wide), betas, gammas)


def effects(values_DBG: np.ndarray, *, seed: int = 0) -> list[Effect]:
    """Analysis of variance of the grid with draws as blocks: main effects of beta and of gamma.

    Every draw trains the whole grid, so differences between draws are taken out first; what is left besides the two
    main effects (their interaction included) is the error. With one draw it is the two-way analysis without
    replication. The permutation test shuffles one factor's levels within every draw and level of the other factor,
    and assumes no normal errors. Factors with one level, and a grid without error freedom, have no effect to test.
    """
    from scipy.stats import f as distribution

    draws, betas, gammas = values_DBG.shape
    total = values_DBG.size
    error_freedom = total - 1 - (draws - 1) - (betas - 1) - (gammas - 1)
    found = []
    for name, axis in (("β", 1), ("γ", 2)):
        levels = values_DBG.shape[axis]
        if levels < 2 or error_freedom < 1:
            continue
        statistic = _statistic(values_DBG, axis, error_freedom)
        # Shuffling keeps the means of draws and of the other factor, so F grows with the level means' squares alone.
        observed = _level_squares(values_DBG[None], axis)[0]
        shuffled = _shuffled_squares(values_DBG, axis, np.random.default_rng(seed))
        # The observed order is one of the possible ones.
        above = int((shuffled >= observed * (1 - 1e-12)).sum())
        p = (1 + above) / (1 + _PERMUTATIONS)
        freedom = (levels - 1, error_freedom)
        found.append(
            Effect(name, statistic, freedom, float(distribution.sf(statistic, *freedom)), p)
        )
    return found


def _level_squares(values_PDBG: np.ndarray, axis: int) -> np.ndarray:
    """Sum of squares of one factor's level means around their mean, for each of P grids."""
    means = values_PDBG.mean(axis=tuple({1, 2, 3} - {axis + 1}))
    squares: np.ndarray = ((means - means.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    return squares


def _shuffled_squares(values_DBG: np.ndarray, axis: int, random: np.random.Generator) -> np.ndarray:
    """`_level_squares` of permuted grids, some at a time."""
    parts = []
    for _ in range(10):
        many = np.broadcast_to(values_DBG, (_PERMUTATIONS // 10, *values_DBG.shape))
        parts.append(_level_squares(random.permuted(many, axis=axis + 1), axis))
    return np.concatenate(parts)


def _statistic(values_DBG: np.ndarray, axis: int, error_freedom: int) -> float:
    """F of one factor: mean square of its level means over the mean square of the error."""
    mean = values_DBG.mean()
    squares = {
        a: values_DBG.size
        / values_DBG.shape[a]
        * ((values_DBG.mean(axis=tuple({0, 1, 2} - {a})) - mean) ** 2).sum()
        for a in (0, 1, 2)
    }
    error = ((values_DBG - mean) ** 2).sum() - sum(squares.values())
    return float(
        (squares[axis] / (values_DBG.shape[axis] - 1)) / max(error / error_freedom, 1e-300)
    )


def expected_maximum(mean: float, deviation: float, count: int) -> float:
    """The largest of ``count`` equal cells to be expected from their scatter alone (Blom's approximation)."""
    from scipy.stats import norm

    return float(mean + deviation * norm.ppf((count - 0.375) / (count + 0.25)))


def summary_rows(frame: pd.DataFrame) -> dict[str, Summary]:
    """Test accuracy over draws: of the grid's mean, of what H selects in each draw, and of hindsight's best cell."""
    cells = frame.groupby(["beta", "gamma"])["accuracy"].mean()
    beta, gamma = (float(level) for level in cells.index[int(cells.to_numpy().argmax())])
    best = frame[(frame["beta"] == beta) & (frame["gamma"] == gamma)]
    chosen = frame.sort_values(
        ["hyper_validation_accuracy", "hyper_validation_loss"],
        ascending=[False, True],
        kind="stable",
    )
    parts = {
        "mean of the grid": frame.groupby("draw")["accuracy"].mean(),
        "selected on H, draw by draw": chosen.groupby("draw")["accuracy"].first(),
        f"best in hindsight (β = {beta:g}, γ = {gamma:g}; for reading only)": best["accuracy"],
    }
    found = {}
    for name, values in parts.items():
        summary = summarise(values)
        assert summary is not None
        found[name] = summary
    return found


def grid_section(frame: pd.DataFrame) -> str:
    """What the grid says, in words."""
    sentences = []
    values = cube(frame, "accuracy")
    tested = effects(values)
    clear = [effect.name for effect in tested if max(effect.p, effect.permutation_p) < 0.05]
    if not tested:
        sentences.append("The grid is too small to say whether β or γ has an effect.")
    elif clear:
        sentences.append(f"{' and '.join(clear)} has an effect on test accuracy at the 5 % level.")
    else:
        sentences.append("Neither β nor γ has a detectable effect on test accuracy.")
    sentences += [f"{effect.text}." for effect in tested]
    means = values.mean(axis=0)
    if means.size > 2:
        top = expected_maximum(float(means.mean()), float(means.std(ddof=1)), means.size)
        sentences.append(
            f"The best of the {means.size} cells has {means.max():.2f} %; of as many equal cells with this scatter "
            f"{top:.2f} % was to be expected."
        )
    return " ".join(sentences)


def grid_tables(frame: pd.DataFrame, labels_per_class: int) -> list[Table]:
    """Mean over draws of every cell, on H and on test, and the summary; captions say what is for reading only."""
    draws = frame["draw"].nunique()
    tables = []
    for column, what in COLUMNS.items():
        wide = frame.pivot_table(index="beta", columns="gamma", values=column, aggfunc="mean")
        rows = [
            [Cell(f"β = {beta:g}"), *(Cell(percent(value, None)) for value in row)]
            for beta, row in zip(wide.index, wide.to_numpy(), strict=True)
        ]
        head = ("", *(f"γ = {gamma:g}" for gamma in wide.columns))
        caption = f"Table 2 at k = {labels_per_class}: {what} in %, mean over {draws} draw{'s' if draws > 1 else ''}."
        tables.append(Table(f"table2-k{labels_per_class}-{column}", caption, head, rows))
    rows = [
        [Cell(name), Cell(percent(summary.mean, summary.error))]
        for name, summary in summary_rows(frame).items()
    ]
    caption = f"The grid at k = {labels_per_class} in short. {grid_section(frame)}"
    head = ("", "test accuracy in %")
    return [*tables, Table(f"table2-k{labels_per_class}-summary", caption, head, rows)]


def write_grid(
    files: Iterable[str | Path], labels_per_class: int, folder: str | Path
) -> list[Path]:
    """Write ``table2-k<k>`` as CSV (a row per member and draw, in percent), Markdown and LaTeX into ``folder``."""
    frame = read_grid(files)
    tables = grid_tables(frame, labels_per_class)
    stem = Path(folder) / f"table2-k{labels_per_class}"
    texts = {
        "csv": frame.to_csv(index=False, lineterminator="\n"),
        "md": "\n".join(map(to_markdown, tables)),
        "tex": "\n".join(map(to_latex, tables)),
    }
    written = [stem.with_name(f"{stem.name}.{kind}") for kind in texts]
    for path, text in zip(written, texts.values(), strict=True):
        write_text(path, text)
    return written
