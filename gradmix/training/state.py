"""One run's parts and how far they have come: all that its next step depends on, into a checkpoint and out of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gradmix.mixing.mixer import GradientMixer
from gradmix.terms.term import Term
from gradmix.training.curves import Curves
from gradmix.training.data import ImageSet, LoadedStream
from gradmix.training.lock import RunInUseError
from gradmix.training.optimizers import RunOptimizer, make_optimizer
from gradmix.training.ranks import ALONE, Ranks
from gradmix.training.select import merit
from gradmix.training.settings import Schedule

Snapshot = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, and what JSON can hold."""


class TrainingError(RuntimeError):
    """Training cannot go on; the message names step and source, and what is kept."""


class CheckpointStore(Protocol):
    """Where a run keeps the state that it can resume from."""

    @property
    def folder(self) -> Path:
        """Where that is, for messages."""

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Keep a state."""

    def load(self) -> Snapshot | None:
        """The last state kept."""


@dataclass
class Outcome:
    """The chosen network's state and what the record says of the training."""

    state: dict[str, Tensor]
    step: int
    accuracy: float
    loss: float
    rows: list[dict[str, float]]
    seconds: float
    interval_milliseconds: list[float]

    def followed_by(self, second: "Outcome") -> "Outcome":
        """Both parts of a training as one: one curve, one choice over both."""
        offset = self.rows[-1]["step"]
        better = merit(second.accuracy, second.loss) > merit(self.accuracy, self.loss)
        chosen = second if better else self
        return Outcome(
            chosen.state,
            int(second.step + offset) if better else self.step,
            chosen.accuracy,
            chosen.loss,
            self.rows + [{**row, "step": row["step"] + offset} for row in second.rows[1:]],
            self.seconds + second.seconds,
            self.interval_milliseconds,
        )


@dataclass
class RunState:
    """What is trained, and how far it has come.

    Attributes:
        network: trained in place.
        mixer: of its losses.
        streams: with their samplers.
        terms: one per stream.
        validation: H.
        schedule: steps and rates.
        curves: the steps since the last evaluation.
        store: of its checkpoints.
        name: for messages.
        ranks: who trains it together; they differ in their random states alone.
        random: torch's generators, for its random terms; ``None``: those in use are its own.
        step: steps taken.
        taken: those of them since the last evaluation.
        elapsed: seconds of the interval that the checkpoint was taken in.
        drawn_from: the samplers' states before they drew this interval's batches, by stream; they draw a whole
            interval at once, so these and ``taken`` say which batches are left.
        rows: of the curves, one per evaluation.
        best: state, step, accuracy and loss of the best evaluation so far.
        seconds: of all whole intervals, evaluations included and the writing of checkpoints not.
        intervals: milliseconds per step of every interval.
        error: why it cannot go on; ``None``: it can.
    """

    network: nn.Module
    mixer: GradientMixer
    streams: Sequence[LoadedStream]
    terms: Sequence[Term]
    validation: ImageSet
    schedule: Schedule
    curves: Curves
    store: CheckpointStore
    name: str = ""
    ranks: Ranks = ALONE
    random: Mapping[str, Tensor] | None = None
    optimizer: RunOptimizer = field(init=False)
    step: int = 0
    taken: int = 0
    elapsed: float = 0.0
    drawn_from: list[dict[str, Tensor]] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    intervals: list[float] = field(default_factory=list)
    error: str | None = None
    _kept: Snapshot | None = None
    _written: bool = False

    def __post_init__(self) -> None:
        self.optimizer = make_optimizer(
            self.schedule.optimizer,
            self.network.parameters(),
            lr=self.schedule.learning_rate,
            momentum=self.schedule.momentum,
            weight_decay=self.schedule.weight_decay,
        )

    @property
    def device(self) -> torch.device:
        """Where training happens."""
        return self.validation.device

    def resume(self) -> bool:
        """Put back the store's checkpoint, from which training goes on bit for bit; whether there is one."""
        kept = self.store.load()
        if kept is not None:
            self._restore(*kept)
        return kept is not None

    def begin_interval(self) -> None:
        """Remember where the samplers stand, before they draw the interval's batches."""
        if not self.taken:
            self.drawn_from = [stream.sampler.state() for stream in self.streams]

    def evaluated(self, loss: float, accuracy: float, elapsed: float) -> None:
        """End an interval: a row of the curves, and the best state so far, this one included.

        Args:
            loss: on H.
            accuracy: there.
            elapsed: seconds of the interval.
        """
        self.rows.append(self.curves.row(self.step, loss, accuracy))
        best = self.best
        if not best or merit(accuracy, loss) > merit(best["accuracy"], best["loss"]):
            weights = {n: t.detach().clone() for n, t in self.network.state_dict().items()}
            self.best = {"state": weights, "step": self.step, "accuracy": accuracy, "loss": loss}
        if self.taken:
            self.seconds += elapsed
        self.taken = 0

    def keep(self, elapsed: float) -> None:
        """Remember the present state, in memory; all ranks do so together."""
        self._kept, self._written = self._snapshot(elapsed), False

    def write(self) -> int | None:
        """Write the remembered state, unless it is written; the step that it is of.

        Raises:
            RunInUseError: if another process has taken the run over.
        """
        if self._kept is None:
            return None
        if not self._written:
            try:
                self.store.save(*self._kept)
            except RunInUseError as error:
                raise RunInUseError(f"{self.name}: {error}") from error
            self._written = True
        step: int = self._kept[1]["step"]
        return step

    def fail(self, fault: str) -> None:
        """Give up, because of what the message says; the last whole state is kept."""
        try:
            kept = f"the state of step {self.write()} is kept in {self.store.folder}"
        except RunInUseError as error:
            kept = str(error)
        self.error = f"{fault}; {kept}"

    def outcome(self) -> Outcome:
        """What the record says of the training."""
        return Outcome(
            self.best["state"],
            self.best["step"],
            self.best["accuracy"],
            self.best["loss"],
            self.rows,
            self.seconds,
            self.intervals,
        )

    def _snapshot(self, elapsed: float) -> Snapshot:
        samplers = self.drawn_from if self.taken else [s.sampler.state() for s in self.streams]
        mixer = self.mixer.state_dict()
        parts: dict[str, Mapping[str, Tensor]] = {
            "network": self.network.state_dict(),
            "best": self.best["state"],
            "optimizer": self.optimizer.state(),
            "curves": self.curves.state(),
            "random": self._random(),
            **{f"stream/{index}": state for index, state in enumerate(samplers)},
            **{f"term/{index}": term.state() for index, term in enumerate(self.terms)},
            "mixer": {name: t for name, t in mixer.items() if isinstance(t, Tensor)},
        }
        tensors = {
            f"{part}/{name}": tensor.detach().clone()
            for part, state in parts.items()
            for name, tensor in state.items()
        }
        state = {
            "step": self.step,
            "taken": self.taken,
            "rows": list(self.rows),
            "best": {name: self.best[name] for name in ("step", "accuracy", "loss")},
            "seconds": self.seconds,
            "elapsed": elapsed if self.taken else 0.0,
            "intervals": list(self.intervals),
            "mixer": {name: value for name, value in mixer.items() if name not in parts["mixer"]},
            # Files keep no order of strides; arithmetic on another order may round in another way.
            "strides": {n: list(t.stride()) for n, t in tensors.items() if not t.is_contiguous()},
        }
        return tensors, state

    def _restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        tensors = {name: _laid_out(t, state["strides"].get(name)) for name, t in tensors.items()}

        def part(name: str, *, on_device: bool = True) -> dict[str, Tensor]:
            own = {n[len(name) + 1 :]: t for n, t in tensors.items() if n.startswith(f"{name}/")}
            return {n: t.to(self.device) for n, t in own.items()} if on_device else own

        self.network.load_state_dict(part("network"))
        self.optimizer.load(part("optimizer"))
        self.curves.load(part("curves"))
        for index, stream in enumerate(self.streams):
            stream.sampler.load(part(f"stream/{index}", on_device=False))
        self.drawn_from = [stream.sampler.state() for stream in self.streams]
        for index, term in enumerate(self.terms):
            term.load(part(f"term/{index}"))
        self.step, self.taken, self.elapsed = state["step"], state["taken"], state["elapsed"]
        self.mixer.load_state_dict({**state["mixer"], **part("mixer")})
        self.mixer.steps = self.step  # those taken with other models' together, too
        self.rows, self.intervals = list(state["rows"]), list(state["intervals"])
        self.best = {**state["best"], "state": part("best")}
        self.seconds = state["seconds"]
        own = "random" if self.ranks.group is None else f"random/{self.ranks.rank}"
        self.random = part(own, on_device=False)

    def _random(self) -> dict[str, Tensor]:
        states = self.random or random_states(self.device)
        if self.ranks.group is None:
            return dict(states)
        return {
            f"{rank}/{name}": state
            for name, own in states.items()
            for rank, state in enumerate(self.ranks.gather(own))
        }


def _laid_out(tensor: Tensor, strides: Sequence[int] | None) -> Tensor:
    if strides is None:
        return tensor
    made = torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype)
    return made.copy_(tensor)


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Of torch's generators: the host's, and the GPU's that is used."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Put back what `random_states` gave."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
