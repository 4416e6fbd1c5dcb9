"""Bootstrap intervals against brute force, a known small case and their coverage."""

from itertools import product

import numpy as np
import pytest

from gradmix.results.bootstrap import bootstrap_interval


@pytest.mark.parametrize("size", [2, 3, 5])
def test_few_draws_are_enumerated_exactly(size):
    values = np.random.default_rng(size).normal(size=size)
    means = np.sort([np.mean(picks) for picks in product(values, repeat=size)])
    # The smallest mean that at least this share of the equally likely resamples does not exceed.
    low, high = (means[int(np.ceil(share * len(means) - 1e-9)) - 1] for share in (0.025, 0.975))
    assert bootstrap_interval(values) == pytest.approx((low, high))


def test_three_draws_by_hand():
    # Of the 27 resamples of 0, 3, 6 one has mean 0 (3.7 %), one has mean 6: both lie inside 95 %.
    assert bootstrap_interval([0.0, 3.0, 6.0]) == pytest.approx((0.0, 6.0))
    # At 90 %, 1/27 is less than 5 %, and 4/27 is more: mean 1 and mean 5.
    assert bootstrap_interval([0.0, 3.0, 6.0], level=0.9) == pytest.approx((1.0, 5.0))


def test_one_draw_has_none_and_equal_draws_have_no_width():
    assert bootstrap_interval([1.0]) is None
    assert bootstrap_interval([]) is None
    assert bootstrap_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)


def test_many_draws_agree_with_the_normal_approximation_and_are_the_same_every_time():
    values = np.random.default_rng(1).normal(3.0, 2.0, size=200)
    low, high = bootstrap_interval(values)
    width = 1.96 * values.std() / np.sqrt(200)
    assert (low, high) == pytest.approx((values.mean() - width, values.mean() + width), abs=0.03)
    assert bootstrap_interval(values) == (low, high)


@pytest.mark.parametrize(("draws", "coverage"), [(2, 0.5), (3, 0.75), (5, 0.84)])
def test_it_covers_less_than_it_says_with_few_draws(draws, coverage):
    """As the module says: this is why Student's interval must agree."""
    random = np.random.default_rng(0)
    experiments = random.normal(size=(2000, draws))
    intervals = np.array([bootstrap_interval(values) for values in experiments])
    covered = ((intervals[:, 0] <= 0) & (intervals[:, 1] >= 0)).mean()
    assert covered == pytest.approx(coverage, abs=0.04)
