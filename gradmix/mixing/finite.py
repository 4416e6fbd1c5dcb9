"""Detects NaN and Inf in gradients without a host synchronisation, and names step, source and layer."""

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor

_LATEST = 2  # steps

OTHER_REACH = (
    "the losses reach different parameters on different ranks; every rank must give the same sources in the same "
    "order, with the same network, heads and frozen layers"
)


class NonFiniteGradientError(ArithmeticError):
    """Raised where a gradient or loss is NaN or infinite. ``step`` counts the mixer's steps from 0."""

    def __init__(self, message: str, *, step: int, source: str, layer: str | None) -> None:
        super().__init__(message)
        self.step = step
        self.source = source
        self.layer = layer


class FiniteCheck:
    """Queues a small table of flags per step and raises as soon as a table with a bad entry has arrived.

    On a CPU the table is there at once. On a GPU it travels to pinned memory behind the step's own work, and is
    read at the first later call that finds it arrived: the host never waits, and the error comes a step or two
    late. Until then the mixer writes zero gradients for the step at fault, so that nothing is spoilt.

    Attributes:
        in_step: raise a fixed number of steps late, whichever tables have arrived: ranks that share their
            gradients must stop at the same step, or one would wait for the others for ever.
    """

    def __init__(self) -> None:
        self.in_step = False
        self._pending: deque[tuple[int, Tensor, torch.cuda.Event | None, list[str], list[str]]] = (
            deque()
        )

    def submit(
        self,
        step: int,
        finite_LR: Tensor,
        layers: Sequence[str],
        sources: Sequence[str],
        agreed: Tensor | None = None,
    ) -> bool:
        """Queue the flags of one step: rows are layers (none: one row of losses), columns the sources.

        Args:
            step: its number.
            finite_LR: the flags.
            layers: names of the rows.
            sources: names of the columns.
            agreed: whether all ranks' losses reach the same, a scalar flag; ``None``: there are no ranks.

        Returns:
            Whether they have been read already; on a GPU they are on their way.

        Raises:
            NonFiniteGradientError: if a table that has arrived holds a false entry.
            ValueError: if it says that the ranks did not agree.
        """
        event = None
        if agreed is not None:
            finite_LR = torch.cat([finite_LR, agreed.expand(1, finite_LR.shape[1])])
            layers = [*layers, OTHER_REACH]
        if finite_LR.device.type == "cuda":
            host = torch.empty(finite_LR.shape, dtype=torch.bool, pin_memory=True)
            host.copy_(finite_LR, non_blocking=True)
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(finite_LR.device))
            finite_LR = host
        self._pending.append((step, finite_LR, event, list(layers), list(sources)))
        self.poll()
        return not self._pending

    def poll(self, *, wait: bool = False) -> None:
        """Look at every table that has arrived; with ``wait``, at all of them."""
        while self._pending:
            step, finite_LR, event, layers, sources = self._pending[0]
            if event is not None:
                if wait or (self.in_step and len(self._pending) > _LATEST):
                    event.synchronize()
                elif self.in_step or not event.query():
                    return
            self._pending.popleft()
            if not bool(finite_LR.all()):
                self._pending.clear()
                _raise(step, finite_LR, layers, sources)


def _raise(step: int, finite_LR: Tensor, layers: list[str], sources: list[str]) -> None:
    if layers and layers[-1] == OTHER_REACH:
        if not bool(finite_LR[-1].all()):
            raise ValueError(f"step {step}: {OTHER_REACH}")
        finite_LR, layers = finite_LR[:-1], layers[:-1]
    bad = (~finite_LR).nonzero().tolist()
    # The first source that is at fault, in its deepest layer: back-propagation meets that one first.
    row, column = max(bad, key=lambda entry: (-entry[1], entry[0]))
    source, layer = sources[column], layers[row] if layers else None
    others = len({entry[1] for entry in bad}) - 1
    more = f" (and in {others} other{'s' if others > 1 else ''} at the same step)" if others else ""
    what = f"the gradient of {source} is NaN or infinite in layer {layer}"
    if layer is None:
        what = f"the loss of {source} is NaN or infinite"
    raise NonFiniteGradientError(
        f"step {step}: {what}{more}",
        step=step,
        source=source,
        layer=layer,
    )
