"""When a run's state is written to its store: every so often, on SIGTERM, and when it breaks off."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from gradmix.training.state import RunState, Snapshot
from gradmix.training.stop import STATUS, Stop, Terminated


class CheckpointStore(Protocol):
    """Where the loop keeps the state that it can resume from."""

    @property
    def folder(self) -> Path:
        """Its folder."""

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Keep a state."""

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The last state kept."""


@dataclass(frozen=True)
class Pace:
    """How often a checkpoint is written; a matter of the machine, which changes no result.

    Attributes:
        seconds: at the latest so long after the last one.
        steps: and so many steps after it; ``None``: by the clock alone.
    """

    seconds: float = 30.0
    steps: int | None = None


class Checkpoints:
    """Writes a run's checkpoints.

    Args:
        state: the run.
        store: where they go.
        pace: how often.
        stop: whether the run is to end.
        check: waits for the device, and raises if the state holds a NaN; such a state is never written.
        log: gets the line that says why a run ended.
    """

    def __init__(
        self,
        state: RunState,
        store: CheckpointStore,
        pace: Pace,
        stop: Stop,
        check: Callable[[], None],
        log: Callable[[str], None],
    ) -> None:
        self._state = state
        self._store = store
        self._pace = pace
        self._stop = stop
        self._check = check
        self._log = log
        self._kept: Snapshot | None = None
        self._written: Snapshot | None = None
        self._written_at = time.monotonic()
        self._written_step = state.step

    def after_step(self) -> None:
        """Behind every step: a flag and the clock are looked at, and no value on the device.

        A state of several ranks is remembered by all together, at evaluations; between them it is the last one
        that is written.

        Raises:
            Terminated: after SIGTERM, with this step's checkpoint written.
            ArithmeticError: if a checkpoint is due and a loss or gradient is NaN.
        """
        if self._state.ranks.count > 1:
            if self._stop.requested:
                self.act()
        elif self._stop.requested or self._due():
            self._check()
            self.keep()
            self.act()

    def keep(self) -> None:
        """Remember the present state; `rescue` writes it."""
        self._kept = self._state.snapshot()

    def act(self) -> None:
        """Write the remembered state if it is time to, and leave if SIGTERM came.

        Raises:
            Terminated: after SIGTERM.
        """
        if self._stop.requested:
            step = self.rescue()
            self._log(f"stopped by SIGTERM at step {step}; goes on from there when started again")
            raise Terminated(STATUS)
        if self._due():
            self.rescue()

    def rescue(self) -> int | None:
        """Write the remembered state, unless it is written; the step that it is of."""
        if self._kept is None:
            return None
        step: int = self._kept[1]["step"]
        if self._written is not self._kept:
            began = time.monotonic()
            self._store.save(*self._kept)
            self._written = self._kept
            self._written_at, self._written_step = time.monotonic(), step
            self._state.started += self._written_at - began
        return step

    def _due(self) -> bool:
        steps = self._pace.steps
        if steps is not None and self._state.step - self._written_step >= steps:
            return True
        return time.monotonic() - self._written_at >= self._pace.seconds
