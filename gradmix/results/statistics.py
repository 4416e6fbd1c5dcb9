"""Mean, standard error and paired differences over the draws of the few labels.

The standard error is the sample standard deviation (ddof = 1) over the square root of the number of draws.
A single draw has none: it is None, never 0 and never NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gradmix.results.bootstrap import bootstrap_interval

# 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom; scipy takes a second to import, for one table.
_T_QUANTILES = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)

_BOOTSTRAP_FROM = 3


@dataclass(frozen=True)
class Summary:
    """A mean over `count` draws with its standard error (None for a single draw), and a difference's interval.

    `bootstrap` is the percentile bootstrap interval over draws; None where it was not asked for, or of fewer than
    three draws.
    """

    mean: float
    error: float | None
    count: int
    bootstrap: tuple[float, float] | None = None

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
        width = t_quantile(self.count - 1) * self.error
        return self.mean - width, self.mean + width

    @property
    def errors_from_zero(self) -> float | None:
        """The mean in standard errors; None for a single draw, and where all draws agree to rounding."""
        if self.error is None or self.error <= 1e-9 * max(1.0, abs(self.mean)):
            return None
        return self.mean / self.error

    @property
    def is_clear(self) -> bool:
        """Whether zero lies outside Student's 95 % interval, and outside the bootstrap's where there is one.

        Two-sided, not corrected for many comparisons.
        """
        if self.count == 1:
            return False
        ratio = self.errors_from_zero
        if ratio is None:
            # The same value in every draw: of two it may be chance, since accuracies are multiples of one image.
            return self.count > 2 and abs(self.mean) > 1e-9
        outside = self.bootstrap is None or self.bootstrap[0] > 0 or self.bootstrap[1] < 0
        return outside and abs(ratio) > t_quantile(self.count - 1)


def t_quantile(degrees_of_freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t (to 0.002) for `degrees_of_freedom` >= 1."""
    assert degrees_of_freedom >= 1
    if degrees_of_freedom <= len(_T_QUANTILES):
        return _T_QUANTILES[degrees_of_freedom - 1]
    return 1.96 + 2.4 / degrees_of_freedom


def summarise(values: Iterable[float]) -> Summary | None:
    """Return mean and standard error of `values`; NaN and None are left out; None if nothing is left."""
    kept = [float(value) for value in values if value is not None and not math.isnan(value)]
    if not kept:
        return None
    mean = math.fsum(kept) / len(kept)
    if len(kept) == 1:
        return Summary(mean, None, 1)
    variance = math.fsum((value - mean) ** 2 for value in kept) / (len(kept) - 1)
    return Summary(mean, math.sqrt(variance / len(kept)), len(kept))


def paired_difference(
    values: Mapping[int, float], reference: Mapping[int, float]
) -> Summary | None:
    """Return the mean of `values` minus `reference` over the draws that both have, with error and intervals.

    Both map draw -> value. None if they share no draw. Two draws have no bootstrap interval: it would run from one
    difference to the other, which the true one lies between in one case of two, not in 95 of 100.
    """
    common = [values[draw] - reference[draw] for draw in values if draw in reference]
    summary = summarise(common)
    if summary is None or summary.count < _BOOTSTRAP_FROM:
        return summary
    return replace(summary, bootstrap=bootstrap_interval(common))
