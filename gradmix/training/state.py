"""All that a run's next step depends on, as it goes into a checkpoint and comes out of it; at any step."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gradmix.terms.term import Term
from gradmix.training.curves import Curves
from gradmix.training.data import LoadedStream
from gradmix.training.optimizers import RunOptimizer
from gradmix.training.ranks import ALONE, Ranks

Snapshot = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, and what JSON can hold."""


@dataclass
class RunState:
    """One run's parts and how far they have come.

    Attributes:
        network: trained in place.
        optimizer: with its buffers.
        mixer: a mixer of `gradmix.mixing`, or ``None``.
        streams: with their samplers.
        terms: one per stream.
        curves: the steps since the last evaluation.
        device: where training happens.
        step: steps taken.
        taken: those of them since the last evaluation.
        drawn_from: the samplers' states before they drew this interval's batches, by stream; they draw a whole
            interval at once, so these and ``taken`` say which batches are left.
        rows: of the curves, one per evaluation.
        best: state, step, accuracy and loss of the best evaluation so far.
        seconds: of all whole intervals, evaluations included.
        started: when this interval began, on the clock of ``time.monotonic``; the writing of checkpoints is not
            counted.
        intervals: milliseconds per step of every interval.
        ranks: who trains together; they differ in their random states alone.
    """

    network: nn.Module
    optimizer: RunOptimizer
    mixer: Any | None
    streams: Sequence[LoadedStream]
    terms: Sequence[Term]
    curves: Curves
    device: torch.device
    step: int = 0
    taken: int = 0
    drawn_from: list[dict[str, Tensor]] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    started: float = field(default_factory=time.monotonic)
    intervals: list[float] = field(default_factory=list)
    ranks: Ranks = ALONE

    def snapshot(self) -> Snapshot:
        """A copy of everything, from which `restore` goes on bit for bit; all ranks take it together."""
        samplers = self.drawn_from if self.taken else [s.sampler.state() for s in self.streams]
        parts: dict[str, Mapping[str, Tensor]] = {
            "network": self.network.state_dict(),
            "best": self.best["state"],
            "optimizer": self.optimizer.state(),
            "curves": self.curves.state(),
            "random": self._random(),
            **{f"stream/{index}": state for index, state in enumerate(samplers)},
            **{f"term/{index}": term.state() for index, term in enumerate(self.terms)},
        }
        mixer: dict[str, Any] = {} if self.mixer is None else self.mixer.state_dict()
        parts["mixer"] = {name: t for name, t in mixer.items() if isinstance(t, Tensor)}
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
            "elapsed": time.monotonic() - self.started if self.taken else 0.0,
            "intervals": list(self.intervals),
            "mixer": {name: value for name, value in mixer.items() if name not in parts["mixer"]},
            # Files keep no order of strides; arithmetic on another order may round in another way.
            "strides": {n: list(t.stride()) for n, t in tensors.items() if not t.is_contiguous()},
        }
        return tensors, state

    def evaluated(self, loss: float, accuracy: float) -> None:
        """End an interval: a row of the curves, and the best state so far, this one included.

        Args:
            loss: on H.
            accuracy: there; among equal ones the lower loss is better.
        """
        self.rows.append(self.curves.row(self.step, loss, accuracy))
        best = self.best
        if not best or (accuracy, -loss) > (best["accuracy"], -best["loss"]):
            weights = {n: t.detach().clone() for n, t in self.network.state_dict().items()}
            self.best = {"state": weights, "step": self.step, "accuracy": accuracy, "loss": loss}
        if self.taken:
            self.seconds += time.monotonic() - self.started
        self.taken = 0

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Put a snapshot back."""
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
        self.step, self.taken = state["step"], state["taken"]
        if self.mixer is not None:
            self.mixer.load_state_dict({**state["mixer"], **part("mixer")})
            self.mixer.steps = self.step  # those taken with other models' together, too
        self.rows, self.intervals = list(state["rows"]), list(state["intervals"])
        self.best = {**state["best"], "state": part("best")}
        self.seconds = state["seconds"]
        self.started = time.monotonic() - state["elapsed"]
        # Last, in case that a part above has drawn a number while it was restored.
        own = "random" if self.ranks.group is None else f"random/{self.ranks.rank}"
        set_random_states(part(own, on_device=False), self.device)

    def _random(self) -> dict[str, Tensor]:
        states = random_states(self.device)
        if self.ranks.group is None:
            return states
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
