"""Bootstrap intervals over draws: exact where there are few, so that no seed decides.

The percentile interval of the mean is too narrow for few draws: it covered the true mean of normal values in 75 %, 84 %
and 90 % of simulated experiments of 3, 5 and 10 draws (20,000, 20,000 and 5,000 of them), where it says 95 %; a test
simulates fewer. A difference is therefore called clear only where Student's interval excludes zero as well. Of two
draws the interval runs from one value to the other and covers the mean of any symmetric distribution in one case of
two; tables leave it out (see `statistics.paired_difference`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations_with_replacement

import numpy as np

_EXACT = 6
_RESAMPLES = 20_000


def bootstrap_interval(
    values: Sequence[float], *, level: float = 0.95
) -> tuple[float, float] | None:
    """The percentile bootstrap interval (low, high) of the mean; None for fewer than two values.

    Up to 6 values all resamples are enumerated, each multiset with its probability; above, 20,000 are drawn with a
    fixed seed. The ends are the smallest means that at least the share (1 - level) / 2, or (1 + level) / 2, of the
    resamples do not exceed.
    """
    assert 0 < level < 1
    return _interval(tuple(values), level) if len(values) > 1 else None


@lru_cache(maxsize=100_000)  # sentences and tables ask for the same differences again
def _interval(values: tuple[float, ...], level: float) -> tuple[float, float]:
    """The interval of two values or more."""
    data = np.asarray(values, dtype=np.float64)
    if len(data) <= _EXACT:
        counts, probabilities = _multisets(len(data))
        means = counts @ data / len(data)
    else:
        picks = np.random.default_rng(0).integers(0, len(data), (_RESAMPLES, len(data)))
        means = data[picks].mean(axis=1)
        probabilities = np.full(_RESAMPLES, 1 / _RESAMPLES)
    order = np.argsort(means, kind="stable")
    below = np.cumsum(probabilities[order])
    # Sums of probabilities that should meet the share exactly may miss it by rounding.
    ends = np.searchsorted(below, np.array([(1 - level) / 2, (1 + level) / 2]) - 1e-12)
    low, high = means[order][ends]
    return float(low), float(high)


@lru_cache
def _multisets(size: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each value is picked, for every multiset of ``size`` picks, and the probability of each."""
    counts, probabilities = [], []
    for picks in combinations_with_replacement(range(size), size):
        count = [picks.count(value) for value in range(size)]
        ways = math.factorial(size) / math.prod(math.factorial(n) for n in count)
        counts.append(count)
        probabilities.append(ways / size**size)
    return np.array(counts, dtype=np.float64), np.array(probabilities)
