"""Work in processes: order, errors, crashes, and few results waiting."""

import os
import signal

import pytest

from gradmix.domains.files.side_by_side import CrashedError, side_by_side


def work(number):
    if number == 13:
        raise ValueError("unlucky")
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


@pytest.mark.parametrize("processes", [1, 3])
def test_order_is_kept_and_errors_and_crashes_take_no_other_item_along(processes):
    results = list(side_by_side(work, range(30), processes))
    assert [item for item, _ in results] == list(range(30))
    for item, result in results:
        if item == 13:
            assert str(result) == "unlucky"
        elif item == 7:
            assert isinstance(result, CrashedError)
        else:
            assert result == item * item


def test_items_are_taken_as_results_are_fetched():
    taken = []

    def items():
        for number in range(14, 200):
            taken.append(number)
            yield number

    results = side_by_side(work, items(), 2)
    next(results)
    assert len(taken) <= 9
    results.close()


def test_processes_end_when_the_reader_leaves():
    results = side_by_side(os_id, range(100), 2)
    worker = next(results)[1]
    results.close()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def os_id(number):
    return os.getpid()
