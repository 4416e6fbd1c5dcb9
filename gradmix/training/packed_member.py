"""One run of a pack: its state as single training keeps it, and its checkpoints."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gradmix.training.checkpoints import CheckpointStore
from gradmix.training.loop import Outcome, TrainingError
from gradmix.training.optimizers import make_optimizer
from gradmix.training.prepared import Prepared
from gradmix.training.state import RunState, Snapshot, random_states, set_random_states

Log = Callable[[str], None]


@dataclass
class Member:
    """One run of a pack, as single training keeps it; its tensors are parts of the pack's.

    Attributes:
        run: what is trained.
        state: how far it has come.
        store: its checkpoints.
        name: for messages.
        random: torch's generators for its random terms, of which a pack has none; a checkpoint holds them.
        kept: its last whole state.
        written: whether the store has it.
        elapsed: seconds of the interval that it was broken off in.
        error: why it cannot go on.
    """

    run: Prepared
    state: RunState
    store: CheckpointStore
    name: str
    random: Mapping[str, Tensor]
    kept: Snapshot | None = None
    written: bool = False
    elapsed: float = 0.0
    error: TrainingError | None = None

    @classmethod
    def of(cls, run: Prepared, store: CheckpointStore, name: str, log: Log) -> "Member":
        """The run at its beginning, or where its checkpoint left it."""
        schedule, device = run.schedule, run.validation.device
        optimizer = make_optimizer(
            schedule.optimizer,
            run.network.parameters(),
            lr=schedule.learning_rate,
            momentum=schedule.momentum,
            weight_decay=schedule.weight_decay,
        )
        state = RunState(
            run.network, optimizer, run.mixer, run.streams, run.terms, run.curves, device
        )
        kept = store.load()
        if kept is None:
            torch.manual_seed(run.seeds["batches"])
        else:
            state.restore(*kept)
            log(f"{name}: resumed at step {state.step}")
        elapsed = time.monotonic() - state.started if state.taken else 0.0
        return cls(run, state, store, name, random_states(device), elapsed=elapsed)

    def keep(self) -> None:
        """Remember the present state."""
        set_random_states(self.random, self.state.device)
        self.kept, self.written = self.state.snapshot(), False

    def rescue(self) -> int | None:
        """Write the remembered state, unless it is written; the step that it is of."""
        if self.kept is None:
            return None
        if not self.written:
            self.store.save(*self.kept)
            self.written = True
        step: int = self.kept[1]["step"]
        return step

    def outcome(self) -> Outcome:
        """What the record says of the run."""
        return Outcome.of(self.state)
