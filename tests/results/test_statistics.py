import math

import pytest
from scipy import stats

from gradmix.results.statistics import Summary, paired_difference, summarise, t_quantile


def test_mean_and_standard_error_by_hand():
    # 1, 2, 6: mean 3, sum of squares 4 + 1 + 9 = 14, variance 7, error sqrt(7 / 3)
    assert summarise([1, 2, 6]) == Summary(3.0, pytest.approx(math.sqrt(7 / 3)), 3)


def test_single_and_missing_values():
    assert summarise([4.0]) == Summary(4.0, None, 1)
    assert summarise([4.0, math.nan]) == Summary(4.0, None, 1)
    assert summarise([]) is None
    assert not summarise([4.0]).is_clear


def test_paired_difference_over_common_draws():
    difference = paired_difference({0: 5.0, 1: 7.0, 4: 100.0}, {1: 4.0, 0: 4.0, 9: 0.0})
    assert difference == Summary(2.0, pytest.approx(1.0), 2)
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_clear_only_where_both_intervals_exclude_zero():
    assert Summary(5.0, 1.0, 3, (1.0, 9.0)).is_clear
    assert not Summary(5.0, 1.0, 3, (-0.1, 9.0)).is_clear
    # Three draws that agree in sign, which the bootstrap takes for certain, are not enough for Student.
    difference = paired_difference({0: 1.0, 1: 2.0, 2: 6.0}, {0: 0.0, 1: 0.0, 2: 0.0})
    assert difference.bootstrap == (1.0, 6.0)
    assert not difference.is_clear
    low, high = difference.student
    assert low < 0 < high
    assert (low + high) / 2 == pytest.approx(3.0)


def test_clear_differences():
    assert Summary(4.31, 1.0, 3).is_clear
    assert not Summary(4.30, 1.0, 3).is_clear
    assert Summary(-2.27, 1.0, 10).is_clear
    assert Summary(1.0, 0.0, 3).is_clear
    assert Summary(1.0, 1e-15, 3).errors_from_zero is None
    assert not Summary(0.0, 0.0, 3).is_clear


@pytest.mark.parametrize("degrees", [1, 2, 9, 30, 31, 50, 200])
def test_quantiles_of_t(degrees):
    assert t_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=3e-3)
