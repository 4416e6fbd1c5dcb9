import math

import pytest
from scipy import stats

from gradmix.results.statistics import (
    Summary,
    holm,
    mark_clear,
    paired_difference,
    summarise,
)


def is_clear(summary):
    """Whether it is clear as the only row of its column."""
    return mark_clear({"row": summary})["row"].clear


def test_mean_and_standard_error_by_hand():
    # 1, 2, 6: mean 3, sum of squares 4 + 1 + 9 = 14, variance 7, error sqrt(7 / 3)
    assert summarise([1, 2, 6]) == Summary(3.0, pytest.approx(math.sqrt(7 / 3)), 3)


def test_single_values():
    assert summarise([4.0]) == Summary(4.0, None, 1)
    assert Summary(4.0, None, 1).student is None
    assert not is_clear(summarise([4.0]))


def test_paired_difference_over_common_draws():
    difference = paired_difference({0: 5.0, 1: 7.0, 4: 100.0}, {1: 4.0, 0: 4.0, 9: 0.0})
    assert difference == Summary(2.0, pytest.approx(1.0), 2)
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_clear_only_where_both_intervals_exclude_zero():
    assert is_clear(Summary(5.0, 1.0, 3, (1.0, 9.0)))
    assert not is_clear(Summary(5.0, 1.0, 3, (-0.1, 9.0)))
    # Three draws that agree in sign, which the bootstrap takes for certain, are not enough for Student.
    difference = paired_difference({0: 1.0, 1: 2.0, 2: 6.0}, {0: 0.0, 1: 0.0, 2: 0.0})
    assert difference.bootstrap == (1.0, 6.0)
    assert not is_clear(difference)
    low, high = difference.student
    assert low < 0 < high
    assert (low + high) / 2 == pytest.approx(3.0)


def test_clear_differences():
    assert is_clear(Summary(4.31, 1.0, 3, (1.0, 9.0)))
    assert not is_clear(Summary(4.30, 1.0, 3, (1.0, 9.0)))
    assert is_clear(Summary(-2.27, 1.0, 10, (-5.0, -1.0)))
    assert is_clear(Summary(1.0, 0.0, 3, (1.0, 1.0)))
    assert Summary(1.0, 0.0, 3).p == 0
    assert Summary(1.0, 1e-15, 3).errors_from_zero is None
    assert Summary(0.0, 0.0, 3).p == 1
    assert not is_clear(Summary(0.0, 0.0, 3, (0.0, 0.0)))


def test_fewer_than_three_draws_are_never_clear():
    for draws in ({0: 50.0}, {0: 50.0, 1: 50.0}, {0: 50.0, 1: 50.001}):
        difference = paired_difference(draws, dict.fromkeys(draws, 0.0))
        assert difference.p is None
        assert not is_clear(difference)


def test_holm_by_hand():
    # Of four: 0.01 <= 0.05 / 4, 0.013 <= 0.05 / 3, but 0.03 > 0.05 / 2, which ends it: 0.04 < 0.05 does not count.
    assert holm([0.03, 0.01, 0.04, 0.013]) == [False, True, False, True]
    # A row that could not be tested is one of the three.
    assert holm([0.02, None, 0.03]) == [False, False, False]
    assert holm([0.02, 0.03]) == [True, True]
    assert holm([]) == []


def test_clear_alone_but_not_among_twenty():
    # t = 5 with 9 degrees of freedom: p = 0.0007 is kept; t = 3: p = 0.015 is not, of twenty.
    strong, weak = Summary(5.0, 1.0, 10, (3.0, 7.0)), Summary(3.0, 1.0, 10, (1.0, 5.0))
    assert strong.p == pytest.approx(2 * stats.t.sf(5, 9))
    assert is_clear(weak)
    none = {f"row {i}": Summary(0.1, 1.0, 10, (-1.0, 1.0)) for i in range(18)}
    marked = mark_clear({"strong": strong, "weak": weak} | none)
    assert [name for name, summary in marked.items() if summary.clear] == ["strong"]


@pytest.mark.parametrize(("draws", "quantile"), [(2, 12.7062), (3, 4.3027), (10, 2.2622)])
def test_students_interval_by_a_printed_table(draws, quantile):
    low, high = Summary(1.0, 2.0, draws).student
    assert (low, high) == pytest.approx((1 - 2 * quantile, 1 + 2 * quantile), abs=1e-3)
