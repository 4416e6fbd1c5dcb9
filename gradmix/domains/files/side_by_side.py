"""Works on many files in several processes, in order, with few results waiting, and survives crashes."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_WAITING_PER_PROCESS = 4
_PR_SET_PDEATHSIG = 1  # of prctl(2)


class CrashedError(RuntimeError):
    """The process that worked on an item died."""


def side_by_side(
    work: Callable[[Item], Result], items: Iterable[Item], processes: int
) -> Iterator[tuple[Item, Result | Exception]]:
    """Yield every item with its result, or with the exception that `work` raised, in order.

    Only a few results wait at any time, so memory does not grow with the number of items. A process
    that dies (a decoder can crash on a damaged file) takes no other item with it: those under way
    are done again one by one, and the one that kills its process again comes with `CrashedError`.

    Args:
        work: a module's function, or a `functools.partial` of one.
        items: picklable, as are the results.
        processes: how many work at the same time.
    """
    waiting: deque[tuple[Item, Future[Result] | None]] = deque()
    rest = iter(items)
    pool = _pool(processes)
    try:
        while True:
            for item in rest:
                waiting.append((item, _submitted(pool, work, item)))
                if len(waiting) >= _WAITING_PER_PROCESS * processes:
                    break
            if not waiting:
                return
            item, future = waiting.popleft()
            try:
                if future is None:
                    raise BrokenProcessPool
                result: Result | Exception = future.result()
            except BrokenProcessPool:
                again = [item, *(other for other, _ in waiting)]
                waiting.clear()
                pool.shutdown()
                for suspect in again:
                    yield suspect, _alone(work, suspect)
                pool = _pool(processes)
                continue
            except Exception as error:
                result = error
            yield item, result
    finally:
        pool.shutdown(cancel_futures=True)


def _pool(processes: int) -> ProcessPoolExecutor:
    # Forked: a spawned process would run the workflow's script again.
    context = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(processes, mp_context=context, initializer=_belong_to_parent)


def _belong_to_parent() -> None:
    """Leave Ctrl-C to the parent, and end with it when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _submitted(
    pool: ProcessPoolExecutor, work: Callable[[Item], Result], item: Item
) -> Future[Result] | None:
    with warnings.catch_warnings():
        # Python from 3.12 on warns of forks beside threads; the only ones here are idle (NumPy's, Arrow's).
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        try:
            return pool.submit(work, item)
        except BrokenProcessPool:
            return None


def _alone(work: Callable[[Item], Result], item: Item) -> Result | Exception:
    with _pool(1) as pool:
        future = _submitted(pool, work, item)
        try:
            assert future is not None
            return future.result()
        except BrokenProcessPool:
            return CrashedError("crashes its decoder")
        except Exception as error:
            return error
