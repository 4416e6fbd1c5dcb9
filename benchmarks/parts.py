"""What the parts of a GradMix step cost: forward and backward of the sources and of V, Gram, solve, mixture, update.

The project's own functions are timed while they run: for the measurement only, each function of `POINTS` is replaced
by one that stops the clock. Times are exclusive: what an inner point takes does not count for the outer one, so the
parts add up to the step. On a GPU the clock waits at every border, which costs what the step gains by queueing ahead.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from unittest.mock import patch

from torch import Tensor

from benchmarks.cases import Case
from benchmarks.measuring import synchronise
from benchmarks.variants import loss_of, together_losses

# Part -> the functions that are it. What a point calls under another point's name counts for that one.
POINTS: dict[str, tuple[str, ...]] = {
    "backward": ("torch.autograd:grad", "torch.autograd:backward"),
    "Gram": ("gradmix.mixing.mixer:gram",),
    "solve": ("gradmix.mixing.gradmix:GradMix.weigh", "gradmix.mixing.mixer:cosines"),
    "mixture": ("gradmix.mixing.mixer:GradientMixer.backward",),
    "update": ("gradmix.mixing.mixer:GradientMixer.step",),
}
# What a step's time is shown as, in the order of the step.
PARTS = (
    "sources: forward",
    "V: forward",
    "all: forward",
    "sources: backward",
    "V: backward",
    "all: backward",
    "Gram",
    "solve",
    "mixture",
    "update",
)


class Clock:
    """Exclusive seconds by part; calls of a part stay apart."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.calls: list[tuple[str, float]] = []
        self._inner: list[float] = []

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """The time inside counts for ``part``, but for what a part inside takes."""
        self._inner.append(0.0)
        synchronise(self.device)
        started = time.perf_counter()
        try:
            yield
        finally:
            synchronise(self.device)
            whole = time.perf_counter() - started
            self.calls.append((part, whole - self._inner.pop()))
            if self._inner:
                self._inner[-1] += whole

    def wrapped(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, timed."""

        def timed(*arguments: Any, **options: Any) -> Any:
            with self.on(part):
                return function(*arguments, **options)

        return timed


@contextmanager
def patched(clock: Clock) -> Iterator[list[str]]:
    """All points timed by ``clock``; gives the points that this version does not have."""
    missing: list[str] = []
    patches = []
    for part, points in POINTS.items():
        for point in points:
            module, _, path = point.partition(":")
            *owners, name = path.split(".")
            try:
                owner: Any = import_module(module)
                for step in owners:
                    owner = getattr(owner, step)
                function = getattr(owner, name)
            except (ImportError, AttributeError):
                missing.append(point)
                continue
            patches.append(patch.object(owner, name, clock.wrapped(part, function)))
    for one in patches:
        one.start()
    try:
        yield missing
    finally:
        for one in patches:
            one.stop()


def one_step(
    case: Case, mixer: Any, optimizer: Any, *, together: bool = False
) -> tuple[dict[str, float], list[str]]:
    """Seconds of every part of one step, and the points that are missing; ``together``: of one joined pass."""
    clock = Clock(case.device)
    losses: list[Tensor] = []
    case.network.zero_grad()
    with patched(clock) as missing:
        if together:
            with clock.on("all: forward"):
                losses = together_losses(case)
        for index, batch in enumerate([] if together else case.batches):
            with clock.on("sources: forward" if index < len(case.sources) else "V: forward"):
                losses.append(loss_of(case, batch))
        mixer.backward(losses[:-1], losses[-1])
        mixer.step(optimizer)
    seconds = dict.fromkeys(PARTS, 0.0)
    backward = [spent for part, spent in clock.calls if part == "backward"]
    # Where there is a pass per loss, V's is the first: the last graph that was built.
    if not together and len(backward) == len(losses):
        seconds["V: backward"] = backward.pop(0)
        seconds["sources: backward"] = sum(backward)
    else:
        seconds["all: backward"] = sum(backward)
    for part, spent in clock.calls:
        if part != "backward":
            seconds[part] += spent
    return seconds, missing
