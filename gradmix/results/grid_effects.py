"""Table 2: the grid of beta x gamma, what was selected beside what hindsight would take, and whether either matters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradmix.results.layout import Cell, Table, percent, write_table
from gradmix.results.records import read_parquet
from gradmix.results.statistics import Summary, summarise

if TYPE_CHECKING:
    import pandas as pd

_PERMUTATIONS = 10_000
_LESS = 1 - 1e-12  # equal sums, added up in another order, differ by rounding
COLUMNS = {
    "hyper_validation_accuracy": "accuracy on H",
    "accuracy": "test accuracy (for reading only)",
}


@dataclass(frozen=True)
class Effect:
    """Whether a factor of the grid, or the two together, matter: F statistic, p-value, and p-value by permutation."""

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
    import pandas as pd

    frame = pd.concat([read_parquet(file) for file in files], ignore_index=True)
    return frame.assign(**{column: 100 * frame[column] for column in COLUMNS})


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
    """Analysis of variance of the grid with draws as blocks: main effects of beta and of gamma, and their interaction.

    Every draw trains the whole grid, so differences between draws are taken out first. The error is what is left
    between draws and cells, (D - 1)(BG - 1) degrees of freedom. With one draw it is the two-way analysis without
    replication: the interaction is the error, and cannot be tested. A factor with one level has no effect to test.

    The permutation tests assume no normal errors. For a main effect, the factor's levels are shuffled within every
    draw and level of the other factor. For the interaction, both factors' levels are shuffled within every draw,
    after the main effects of that draw are taken out, which such a shuffling would leave as they are.

    Args:
        values_DBG: values by draw, beta and gamma.
        seed: of the permutations.
    """
    from scipy.stats import f as distribution

    draws, betas, gammas = values_DBG.shape
    freedoms = {"β": betas - 1, "γ": gammas - 1, "β × γ": (betas - 1) * (gammas - 1)}
    parts_PDBG = _parts(values_DBG)
    if draws > 1:
        error = (values_DBG - sum(parts_PDBG.values())) ** 2
        error_freedom = (draws - 1) * (betas * gammas - 1)
    else:
        error = parts_PDBG.pop("β × γ") ** 2
        error_freedom = freedoms["β × γ"]
    tested = []
    for name, freedom in freedoms.items():
        if name not in parts_PDBG or freedom < 1 or error_freedom < 1:
            continue
        square = float((parts_PDBG[name] ** 2).sum()) / freedom
        statistic = square / max(float(error.sum()) / error_freedom, 1e-300)
        tested.append(
            Effect(
                name,
                statistic,
                (freedom, error_freedom),
                float(distribution.sf(statistic, freedom, error_freedom)),
                _permutation_p(values_DBG, name, np.random.default_rng(seed)),
            )
        )
    return tested


def _parts(values_DBG: np.ndarray) -> dict[str, np.ndarray]:
    """Orthogonal parts of a balanced grid, each in the grid's shape: mean, draws, beta, gamma, interaction."""
    mean = values_DBG.mean(keepdims=True)
    beta = values_DBG.mean(axis=(0, 2), keepdims=True) - mean
    gamma = values_DBG.mean(axis=(0, 1), keepdims=True) - mean
    parts = {
        "mean": mean,
        "draws": values_DBG.mean(axis=(1, 2), keepdims=True) - mean,
        "β": beta,
        "γ": gamma,
        "β × γ": values_DBG.mean(axis=0, keepdims=True) - mean - beta - gamma,
    }
    return {name: np.broadcast_to(part, values_DBG.shape) for name, part in parts.items()}


def _permutation_p(values_DBG: np.ndarray, name: str, random: np.random.Generator) -> float:
    """Share of shuffled grids whose sum of squares of this effect is no less than the observed one."""
    if name == "β × γ":
        # What each draw has besides its own two main effects.
        rows = values_DBG.mean(axis=2, keepdims=True)
        columns = values_DBG.mean(axis=1, keepdims=True)
        values_DBG = values_DBG - rows - columns + values_DBG.mean(axis=(1, 2), keepdims=True)
    observed = _squares(values_DBG[None], name)[0]
    above = 0
    for _ in range(10):  # some at a time: a thousand grids of the paper's size take little memory
        many_PDBG = np.broadcast_to(values_DBG, (_PERMUTATIONS // 10, *values_DBG.shape))
        above += int((_squares(_shuffled(many_PDBG, name, random), name) >= observed * _LESS).sum())
    # The observed order is one of the possible ones.
    return (1 + above) / (1 + _PERMUTATIONS)


def _shuffled(many_PDBG: np.ndarray, name: str, random: np.random.Generator) -> np.ndarray:
    """Each grid with the levels of the named factor shuffled, or with both factors' whole rows and columns."""
    if name != "β × γ":
        return random.permuted(many_PDBG, axis={"β": 2, "γ": 3}[name])
    beta_PDB1 = random.random(many_PDBG.shape[:3]).argsort(axis=2)[..., None]
    gamma_PD1G = random.random((*many_PDBG.shape[:2], many_PDBG.shape[3])).argsort(axis=2)
    rows_PDBG = np.take_along_axis(many_PDBG, beta_PDB1, axis=2)
    return np.take_along_axis(rows_PDBG, gamma_PD1G[:, :, None, :], axis=3)


def _squares(many_PDBG: np.ndarray, name: str) -> np.ndarray:
    """Sum of squares of an effect, up to a factor, for each of P grids."""
    cells_PBG = many_PDBG.mean(axis=1)
    if name != "β × γ":
        levels = cells_PBG.mean(axis={"β": 2, "γ": 1}[name])
        cells_PBG = (levels - levels.mean(axis=1, keepdims=True))[..., None]
    squares: np.ndarray = (cells_PBG**2).sum(axis=(1, 2))
    return squares


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
    return {name: summarise(values) for name, values in parts.items()}


def grid_section(frame: pd.DataFrame) -> str:
    """What the grid says, in words."""
    sentences = []
    values = cube(frame, "accuracy")
    tested = effects(values)
    clear = [effect.name for effect in tested if max(effect.p, effect.permutation_p) < 0.05]
    if not tested:
        sentences.append("The grid is too small to say whether β or γ has an effect.")
    elif clear:
        verb = "has" if len(clear) == 1 else "have"
        sentences.append(
            f"{', '.join(clear)} {verb} an effect on test accuracy at the 5 % level (F and permutation agree)."
        )
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
    return write_table(Path(folder) / f"table2-k{labels_per_class}", tables, frame)
