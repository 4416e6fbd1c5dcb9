"""The training loop of every method."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradmix.nets.inputs import evaluation_input, pass_size, training_input
from gradmix.terms.context import Context
from gradmix.terms.term import Term
from gradmix.training.ahead import gathered
from gradmix.training.curves import Curves
from gradmix.training.data import ImageSet, LoadedStream
from gradmix.training.optimizers import make_optimizer

_CHECKPOINT_SECONDS = 30.0


class TrainingError(RuntimeError):
    """Training cannot go on; the message names step and source, and what is kept."""


class CheckpointStore(Protocol):
    """Where the loop keeps the state that it can resume from; nowhere, where ``folder`` is None."""

    @property
    def folder(self) -> Path | None:
        """Its folder."""

    def save(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Keep a state."""

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The last state kept."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: constant rate, evaluation on H at fixed intervals."""

    optimizer: str
    steps: int
    evaluate_every: int
    learning_rate: float
    momentum: float
    weight_decay: float
    precision: str
    flip: bool = False


@dataclass
class Outcome:
    """The chosen network's state and what the record says of the run."""

    state: dict[str, Tensor]
    step: int
    accuracy: float
    loss: float
    rows: list[dict[str, float]]
    seconds: float
    interval_milliseconds: list[float] = field(default_factory=list)


def train(
    network: nn.Module,
    mixer: Any | None,
    streams: Sequence[LoadedStream],
    terms: Sequence[Term],
    hyper_validation: ImageSet,
    schedule: Schedule,
    curves: Curves,
    *,
    store: CheckpointStore,
    log: Callable[[str], None],
    progress: Callable[[int, str], None],
) -> Outcome:
    """Train, evaluate on H at every interval, and keep the state of the best accuracy there (ties: lower loss).

    Args:
        network: trained in place.
        mixer: a mixer of `gradmix.mixing`, or ``None`` for the plain sum of the losses.
        streams: the sets of a step; those of role "source" train, the one of role "guide" weighs.
        terms: the loss on each stream.
        hyper_validation: H.
        schedule: steps and rates.
        curves: collects the log.
        store: resumed from if it holds a checkpoint, which continues bit for bit as if never interrupted.
        log: gets a line per evaluation.
        progress: gets the step and a short text.

    Raises:
        TrainingError: if a loss or gradient is NaN or Inf; the last evaluation's state stays in the store.
    """
    run = _Run(network, mixer, streams, terms, schedule)
    rows: list[dict[str, float]] = []
    best: dict[str, Any] = {}
    spent = 0.0
    intervals: list[float] = []

    # Resume, or evaluate the initial network.
    kept = store.load()
    if kept is not None:
        rows, best, spent, intervals = run.restore(*kept)
        log(f"resumed at step {run.step}")
    else:
        best = run.evaluate(hyper_validation, curves, rows, best, log)
    snapshot = run.snapshot(rows, best, spent, intervals)
    saved_at = time.monotonic()

    try:
        while run.step < schedule.steps:
            # One interval: the host only queues work here, and waits at the evaluation behind it.
            started = time.monotonic()
            count = min(schedule.evaluate_every, schedule.steps - run.step)
            run.advance(count, curves)
            intervals.append(1000 * (time.monotonic() - started) / count)
            best = run.evaluate(hyper_validation, curves, rows, best, log)
            spent += time.monotonic() - started
            progress(run.step, _status(rows[-1]))

            # Keep the state; write it out now and then.
            snapshot = run.snapshot(rows, best, spent, intervals)
            if time.monotonic() - saved_at > _CHECKPOINT_SECONDS and run.step < schedule.steps:
                store.save(*snapshot)
                saved_at = time.monotonic()
    except BaseException as error:
        # Ctrl-C, a scheduler's SIGTERM or a NaN: nothing computed up to the last evaluation is lost.
        store.save(*snapshot)
        if isinstance(error, ArithmeticError):
            where = f"; the state of step {snapshot[1]['step']} is kept in {store.folder}"
            raise TrainingError(f"{error}{where if store.folder else ''}") from error
        raise
    return Outcome(
        state=best["state"],
        step=best["step"],
        accuracy=best["accuracy"],
        loss=best["loss"],
        rows=rows,
        seconds=spent,
        interval_milliseconds=intervals,
    )


class _Run:
    """One run's moving parts, with the state that a checkpoint holds."""

    def __init__(
        self,
        network: nn.Module,
        mixer: Any,
        streams: Sequence[LoadedStream],
        terms: Sequence[Term],
        schedule: Schedule,
    ) -> None:
        self.network = network
        self.mixer = mixer
        self.streams = list(streams)
        self.schedule = schedule
        self.step = 0
        self.optimizer = make_optimizer(
            schedule.optimizer,
            network.parameters(),
            lr=schedule.learning_rate,
            momentum=schedule.momentum,
            weight_decay=schedule.weight_decay,
        )
        self.terms = list(terms)
        self.groups, self.guide = gradient_groups(self.streams)
        device = streams[0].set.device
        self.device = device
        # bfloat16 only inside the forward pass: weights, gradients and the mixing stay in float32.
        self.autocast = (
            torch.autocast(device.type, torch.bfloat16)
            if schedule.precision == "bfloat16"
            else nullcontext()
        )

    def advance(self, count: int, curves: Curves) -> None:
        """Take ``count`` steps."""
        self.network.train()
        # Positions go to where the images lie; those in a file are gathered on the host.
        rows = [s.sampler.take(count).to(s.set.images.device) for s in self.streams]
        sets = [stream.set for stream in self.streams]
        for offset, images in enumerate(gathered(sets, rows, count)):
            contexts = self._contexts(images, [rows_[offset] for rows_ in rows])
            losses = {
                index: term(context)
                for index, (term, context) in enumerate(zip(self.terms, contexts, strict=True))
                if self.streams[index].recipe.role != "companion"
            }
            self.optimizer.zero_grad()
            shared = any(context.used_by_others for context in contexts)
            mixed = self._update(losses, retain_graph=shared)
            curves.add(list(losses.values()), mixed)
            self.step += 1
        if self.mixer is not None:
            self.mixer.check()
        bad = curves.first_bad_loss()
        if bad is not None:
            step = self.step - count + bad[0]
            raise ArithmeticError(f"step {step}: the loss of {bad[1]} is NaN or infinite")

    def _contexts(self, images: Sequence[Tensor], rows: Sequence[Tensor]) -> list[Context]:
        """A context per stream; each can see the others by the names of their sets."""
        by_name: dict[str, Context] = {}
        contexts = []
        for stream, batch, row in zip(self.streams, images, rows, strict=True):
            context = Context(
                self.network,
                training_input(self.network, batch, flip=self.schedule.flip),
                stream.set.labels[row.to(self.device)],
                stream.set.label_space,
                stream.set.domain,
                step=self.step,
                steps=self.schedule.steps,
                streams=by_name,
                autocast=self.autocast,
            )
            contexts.append(by_name.setdefault(stream.name, context))
        return contexts

    def _update(self, losses: Mapping[int, Tensor], *, retain_graph: bool) -> Any | None:
        # One scalar per gradient: losses that belong together are added before any mixing.
        sources = [sum_of([losses[index] for index in group]) for group in self.groups]
        if self.mixer is None:
            torch.stack(sources).sum().backward()
            self.optimizer.step()
            return None
        guides = [] if self.guide is None else [losses[self.guide]]
        mixed = self.mixer.backward(sources, *guides, retain_graph=retain_graph)
        self.mixer.step(self.optimizer)
        return mixed

    def evaluate(
        self,
        images: ImageSet,
        curves: Curves,
        rows: list[dict[str, float]],
        best: dict[str, Any],
        log: Callable[[str], None],
    ) -> dict[str, Any]:
        """Append a row of the curves; the best state so far, this one included."""
        loss, accuracy = evaluate_on_device(self.network, images)
        rows.append(curves.row(self.step, loss, accuracy))
        log(f"step {self.step}/{self.schedule.steps}: {_status(rows[-1])}")
        if best and (accuracy, -loss) <= (best["accuracy"], -best["loss"]):
            return best
        state = {
            name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()
        }
        return {"state": state, "step": self.step, "accuracy": accuracy, "loss": loss}

    def snapshot(
        self,
        rows: list[dict[str, float]],
        best: dict[str, Any],
        spent: float,
        intervals: list[float],
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that a resumed run needs to go on bit for bit."""
        tensors = {
            f"network/{name}": t.detach().clone() for name, t in self.network.state_dict().items()
        }
        tensors |= {f"best/{name}": tensor for name, tensor in best["state"].items()}
        tensors |= {f"optimizer/{name}": t.clone() for name, t in self.optimizer.state().items()}
        for index, stream in enumerate(self.streams):
            tensors |= {
                f"stream/{index}/{name}": t.clone() for name, t in stream.sampler.state().items()
            }
        for index, term in enumerate(self.terms):
            tensors |= {f"term/{index}/{name}": t.clone() for name, t in term.state().items()}
        if self.mixer is not None:
            tensors |= {f"mixer/{name}": t.clone() for name, t in self.mixer.state().items()}
        tensors["random/cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random/cuda"] = torch.cuda.get_rng_state(self.device)
        chosen = {name: best[name] for name in ("step", "accuracy", "loss")}
        state = {"step": self.step, "rows": list(rows), "best": chosen, "seconds": spent}
        return tensors, {**state, "intervals": list(intervals)}

    def restore(
        self, tensors: dict[str, Tensor], state: dict[str, Any]
    ) -> tuple[list[dict[str, float]], dict[str, Any], float, list[float]]:
        """Put a snapshot back."""
        self.network.load_state_dict(_below(tensors, "network/"))
        kept = _below(tensors, "optimizer/")
        self.optimizer.load({name: t.to(self.device) for name, t in kept.items()})
        for index, stream in enumerate(self.streams):
            stream.sampler.load(_below(tensors, f"stream/{index}/"))
        for index, term in enumerate(self.terms):
            own = _below(tensors, f"term/{index}/")
            term.load({name: t.to(self.device) for name, t in own.items()})
        torch.set_rng_state(tensors["random/cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random/cuda"], self.device)
        self.step = state["step"]
        if self.mixer is not None:
            self.mixer.steps = self.step
            own = _below(tensors, "mixer/")
            self.mixer.load({name: t.to(self.device) for name, t in own.items()})
        best_state = {n: t.to(self.device) for n, t in _below(tensors, "best/").items()}
        best = {**state["best"], "state": best_state}
        return state["rows"], best, state["seconds"], state["intervals"]


def gradient_groups(streams: Sequence[LoadedStream]) -> tuple[list[list[int]], int | None]:
    """Positions of the streams whose losses make up each source's gradient, and the guide's position."""
    sources = [i for i, stream in enumerate(streams) if stream.recipe.role == "source"]
    heads = {streams[i].recipe.images: i for i in sources if streams[i].recipe.joins is None}
    groups: dict[int, list[int]] = {}
    for index in sources:
        joins = streams[index].recipe.joins
        head = index if joins is None else heads.get(joins, index)
        groups.setdefault(head, []).append(index)
    guides = [i for i, stream in enumerate(streams) if stream.recipe.role == "guide"]
    assert len(guides) <= 1
    return [groups[head] for head in sorted(groups)], guides[0] if guides else None


def sum_of(losses: Sequence[Tensor]) -> Tensor:
    """The sum of one or more scalars."""
    return losses[0] if len(losses) == 1 else torch.stack(list(losses)).sum()


@torch.no_grad()
def evaluate_on_device(
    network: nn.Module, images: ImageSet, batch_size: int | None = None
) -> tuple[float, float]:
    """Mean cross entropy and accuracy of a set that lies on the device; the network's mode is put back."""
    was_training = network.training
    network.eval()
    loss = torch.zeros((), device=images.device)
    correct = torch.zeros((), device=images.device)
    size = batch_size or pass_size(network)
    for start in range(0, len(images), size):
        part = torch.arange(start, min(start + size, len(images)))
        labels = images.labels[start : start + size]
        inputs = evaluation_input(network, images.take(part))
        logits = network(inputs, images.label_space, images.domain).float()
        loss += functional.cross_entropy(logits, labels, reduction="sum")
        correct += (logits.argmax(dim=1) == labels).sum()
    network.train(was_training)
    return float(loss) / len(images), float(correct) / len(images)


def _status(row: dict[str, float]) -> str:
    losses = " ".join(
        f"{k[5:]} {v:.3f}" for k, v in row.items() if k.startswith("loss/") and v == v
    )
    eta = f", eta {row['eta']:.2f}" if "eta" in row else ""
    training = f", loss {losses}" if losses else ""
    accuracy = 100 * row["hyper_validation_accuracy"]
    return f"H accuracy {accuracy:.1f} %, H loss {row['hyper_validation_loss']:.3f}{training}{eta}"


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
