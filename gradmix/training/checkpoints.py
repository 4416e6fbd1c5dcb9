"""When the states of runs are written to their stores: every so often, on SIGTERM, and when they break off."""

import time

from gradmix.training.progress import Log
from gradmix.training.settings import Pace
from gradmix.training.step import Step
from gradmix.training.stop import STATUS, Stop, Terminated


class Clock:
    """Seconds of an interval, of which every one of several models has its share; writing is left out.

    Args:
        step: of runs that may be inside an interval, and then bring their parts of it.
    """

    def __init__(self, step: Step) -> None:
        self._models = len(step.runs)
        taken = sum(run.elapsed for run in step.runs) if step.taken else 0.0
        self._started = time.monotonic() - taken

    @property
    def elapsed(self) -> float:
        """A model's share of the interval so far."""
        return (time.monotonic() - self._started) / self._models

    def leave_out(self, seconds: float) -> None:
        """So much of the interval does not count."""
        self._started += seconds


class Checkpoints:
    """Writes the checkpoints of all runs of a step, at the same step.

    Args:
        step: takes them further; its `Step.check` raises or marks a run whose state holds a NaN, which is never
            written.
        clock: of the interval.
        pace: how often.
        stop: whether the runs are to end.
        log: gets the line that says why they ended.
    """

    def __init__(self, step: Step, clock: Clock, pace: Pace, stop: Stop, log: Log) -> None:
        self.step = step
        self.clock = clock
        self._pace = pace
        self._stop = stop
        self._log = log
        self._written_at = time.monotonic()
        self._written_step = step.number

    def after_step(self) -> None:
        """Behind every step: a flag and the clock are looked at, and no value on the device.

        A state of several ranks is remembered by all together, at evaluations; between them it is the last one
        that is written.

        Raises:
            Terminated: after SIGTERM, with this step's checkpoints written.
            ArithmeticError: if a checkpoint is due and a loss or gradient is NaN.
        """
        if self.step.runs[0].ranks.count > 1:
            if self._stop.requested:
                self.write_if_due()
        elif self._stop.requested or self._due():
            self.step.check()
            self.keep()
            self.write_if_due()

    def keep(self) -> None:
        """Remember the present states; `write` does so."""
        for run in self.step.going:
            run.keep(self.clock.elapsed)

    def write_if_due(self) -> None:
        """Write the remembered states if it is time to, and leave if SIGTERM came.

        Raises:
            Terminated: after SIGTERM.
        """
        if self._stop.requested and self.step.going:
            step, count = self.write(), len(self.step.going)
            who = f"{count} models " if count > 1 else ""
            self._log(
                f"{who}stopped by SIGTERM at step {step}; started again, training goes on from there"
            )
            raise Terminated(STATUS)
        if self._due():
            self.write()

    def write(self) -> int | None:
        """Write what is remembered and not written; the step that it is of."""
        began = time.monotonic()
        steps = [run.write() for run in self.step.going]
        self._written_at, self._written_step = time.monotonic(), self.step.number
        self.clock.leave_out(self._written_at - began)
        return steps[0] if steps else None

    def _due(self) -> bool:
        steps = self._pace.steps
        if steps is not None and self.step.number - self._written_step >= steps:
            return True
        return time.monotonic() - self._written_at >= self._pace.seconds
