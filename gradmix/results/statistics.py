"""Mean, standard error and paired differences over the draws of the few labels.

The standard error is the sample standard deviation (ddof = 1) over the square root of the number of draws.
A single draw has none: it is None, never 0 and never NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from gradmix.results.bootstrap import bootstrap_interval

_LEVEL = 0.05
_FEWEST = 3
_EQUAL = 1e-9  # accuracies are multiples of one image; what differs by less differs by rounding

Key = TypeVar("Key")


@dataclass(frozen=True)
class Summary:
    """A mean over `count` draws with its standard error (None for a single draw), and a difference's interval.

    `bootstrap` is the percentile bootstrap interval over draws; None where it was not asked for, or of fewer than
    three draws. `clear` is set by `mark_clear`, which looks at a whole column of differences.
    """

    mean: float
    error: float | None
    count: int
    bootstrap: tuple[float, float] | None = None
    clear: bool = False

    @property
    def pair(self) -> tuple[float, float] | None:
        """The two values themselves, the lower one first, where there are two draws: mean ± standard error."""
        if self.error is None or self.count != 2:
            return None
        return self.mean - self.error, self.mean + self.error

    @property
    def student(self) -> tuple[float, float] | None:
        """Student's 95 % interval of the mean; None for a single draw."""
        if self.error is None:
            return None
        from scipy import stats  # takes a moment to import

        width = float(stats.t.ppf(1 - _LEVEL / 2, self.count - 1)) * self.error
        return self.mean - width, self.mean + width

    @property
    def errors_from_zero(self) -> float | None:
        """The mean in standard errors; None for a single draw, and where all draws agree to rounding."""
        if self.error is None or self.error <= _EQUAL * max(1.0, abs(self.mean)):
            return None
        return self.mean / self.error

    @property
    def p(self) -> float | None:
        """Two-sided p-value of Student's t for a mean of zero, not corrected; None of fewer than three draws.

        Zero where all draws have the same value, unless that is zero.
        """
        if self.count < _FEWEST:
            return None
        ratio = self.errors_from_zero
        if ratio is None:
            return 0.0 if abs(self.mean) > _EQUAL else 1.0
        from scipy import stats

        return float(2 * stats.t.sf(abs(ratio), self.count - 1))


def mark_clear(column: Mapping[Key, Summary]) -> dict[Key, Summary]:
    """Return the differences of one column (all to one reference, at one k) with `clear` set: the rule of all results.

    Clear is a difference of at least three draws, of which Student's 95 % interval and the bootstrap's both exclude
    zero, and which Holm's correction over the rows of the column keeps at the 5 % level. Holm's p-values are Student's,
    so what it keeps lies outside Student's interval. Rows of fewer draws count among those that it corrects for.
    """
    kept = holm([summary.p for summary in column.values()])
    return {
        key: replace(summary, clear=keeps and _outside(summary.bootstrap))
        for (key, summary), keeps in zip(column.items(), kept, strict=True)
    }


def holm(p_values: Sequence[float | None]) -> list[bool]:
    """Return which of the p-values Holm's correction over all of them keeps at the 5 % level; never one that is None.

    The smallest of m must not exceed 5 % / m, the next 5 % / (m - 1), and so on; the first that does ends it.
    """
    count = len(p_values)
    kept = [False] * count
    tested = [(p, place) for place, p in enumerate(p_values) if p is not None]
    for rank, (p, place) in enumerate(sorted(tested)):
        if p > _LEVEL / (count - rank):
            break
        kept[place] = True
    return kept


def _outside(interval: tuple[float, float] | None) -> bool:
    """Whether zero lies outside the interval; not where there is none."""
    return interval is not None and (interval[0] > 0 or interval[1] < 0)


def summarise(values: Iterable[float]) -> Summary:
    """Return mean and standard error of one or more values."""
    array = np.asarray(list(values), dtype=np.float64)
    assert len(array)
    if len(array) == 1:
        return Summary(float(array[0]), None, 1)
    error = array.std(ddof=1) / np.sqrt(len(array))
    return Summary(float(array.mean()), float(error), len(array))


def paired_difference(
    values: Mapping[int, float], reference: Mapping[int, float]
) -> Summary | None:
    """Return the mean of `values` minus `reference` over the draws that both have, with error and intervals.

    Both map draw -> value. None if they share no draw. Two draws have no bootstrap interval: it would run from one
    difference to the other, which the true one lies between in one case of two, not in 95 of 100.
    """
    common = [values[draw] - reference[draw] for draw in values if draw in reference]
    if not common:
        return None
    summary = summarise(common)
    if summary.count < _FEWEST:
        return summary
    return replace(summary, bootstrap=bootstrap_interval(common))
