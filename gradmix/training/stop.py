"""SIGTERM, a scheduler's warning: training ends behind the step it is in, with a checkpoint of that step."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STATUS = 128 + signal.SIGTERM
"""Exit status of a run that SIGTERM ended, a shell's for that signal; a workflow with retries starts it again."""

# A scheduler signals a job's processes and their parents, who pass it on: what comes at once is one request.
_ONE_REQUEST_SECONDS = 1.0


class Terminated(SystemExit):
    """The process leaves now; whatever is to be kept is written already."""


class Stop:
    """Whether the run was asked to end.

    Attributes:
        requested: set by the signal's handler, which does nothing else while training is `deferring`.
    """

    def __init__(self) -> None:
        self.requested = False
        self._deferring = False
        self._requested_at = 0.0

    @contextmanager
    def listening(self) -> Iterator["Stop"]:
        """Handle SIGTERM: leave at once, unless `deferring`. Outside the main thread nothing is handled."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = signal.signal(signal.SIGTERM, self._handle)
        try:
            yield self
        finally:
            signal.signal(signal.SIGTERM, before)

    @contextmanager
    def deferring(self) -> Iterator[None]:
        """The block looks at `requested` itself and ends soon; only a second SIGTERM still leaves at once."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def _handle(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        if self._deferring and not self.requested:
            self.requested, self._requested_at = True, now
        elif not self._deferring or now - self._requested_at > _ONE_REQUEST_SECONDS:
            raise Terminated(STATUS)
