"""The training loop of every method."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradmix.nets.inputs import evaluation_input, prediction_size, training_input
from gradmix.terms.context import Context
from gradmix.terms.term import Term
from gradmix.training.ahead import gathered
from gradmix.training.checkpoints import Checkpoints, CheckpointStore, Pace
from gradmix.training.curves import Curves
from gradmix.training.data import ImageSet, LoadedStream
from gradmix.training.lock import RunInUseError
from gradmix.training.optimizers import make_optimizer
from gradmix.training.ranks import ALONE, Ranks
from gradmix.training.state import RunState
from gradmix.training.stop import Stop, Terminated

JOINT = "gradmix.training.joint"


class TrainingError(RuntimeError):
    """Training cannot go on; the message names step and source, and what is kept."""


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
    forward: str = "separate"


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

    @classmethod
    def of(cls, state: RunState) -> "Outcome":
        """Of a run at its end."""
        return cls(
            state=state.best["state"],
            step=state.best["step"],
            accuracy=state.best["accuracy"],
            loss=state.best["loss"],
            rows=state.rows,
            seconds=state.seconds,
            interval_milliseconds=state.intervals,
        )


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
    pace: Pace | None = None,
    stop: Stop | None = None,
    keep_end: bool = False,
    ranks: Ranks = ALONE,
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
        pace: how often a checkpoint is written.
        stop: asked behind every step whether to end; ``None``: never.
        keep_end: whether the last state is written, too, for a run of several parts.
        ranks: the processes that train this network together, each calling this with the same arguments.

    Raises:
        TrainingError: if a loss or gradient is NaN or Inf; the last whole state stays in the store.
        Terminated: after SIGTERM, with a checkpoint of the step that was reached.
    """
    stop = stop or Stop()
    run = _Run(network, mixer, streams, terms, schedule, curves, ranks)
    state = run.state
    with stop.deferring():
        # Resume, or evaluate the initial network.
        kept = store.load()
        if kept is not None:
            state.restore(*kept)
            log(f"resumed at step {state.step}")
        else:
            run.evaluate(hyper_validation, log)
        checkpoints = Checkpoints(state, store, pace or Pace(), stop, run.check, log)
        try:
            checkpoints.keep()
            checkpoints.act()
            while state.step < schedule.steps or state.taken:
                # One interval: the host only queues work here, and waits at the evaluation behind it.
                run.advance(checkpoints.after_step)
                run.evaluate(hyper_validation, log)
                progress(state.step, _status(state.rows[-1]))
                checkpoints.keep()
                if state.step < schedule.steps:
                    checkpoints.act()
            if keep_end:
                checkpoints.rescue()
            if stop.requested:
                checkpoints.act()
        except (Terminated, RunInUseError):
            raise
        except BaseException as error:
            # Ctrl-C or a NaN: nothing computed up to the last evaluation is lost.
            step = checkpoints.rescue()
            if isinstance(error, ArithmeticError):
                where = f"the state of step {step} is kept in {store.folder}"
                raise TrainingError(f"{error}; {where}") from error
            raise
    return Outcome.of(state)


class _Run:
    """What the loop does with a run's state."""

    def __init__(
        self,
        network: nn.Module,
        mixer: Any,
        streams: Sequence[LoadedStream],
        terms: Sequence[Term],
        schedule: Schedule,
        curves: Curves,
        ranks: Ranks = ALONE,
    ) -> None:
        self.schedule = schedule
        self.ranks = ranks
        optimizer = make_optimizer(
            schedule.optimizer,
            network.parameters(),
            lr=schedule.learning_rate,
            momentum=schedule.momentum,
            weight_decay=schedule.weight_decay,
        )
        device = streams[0].set.device
        self.state = RunState(
            network, optimizer, mixer, list(streams), list(terms), curves, device, ranks=ranks
        )
        self.groups, self.guide = gradient_groups(streams)
        # By name, like a mixer: most runs do not use it, and its code is none that they depend on.
        self.joint = None if schedule.forward == "separate" else import_module(JOINT)
        # bfloat16 only inside the forward pass: weights, gradients and the mixing stay in float32.
        self.autocast = (
            torch.autocast(device.type, torch.bfloat16)
            if schedule.precision == "bfloat16"
            else nullcontext()
        )

    def advance(self, after_step: Callable[[], None]) -> None:
        """Take the steps up to the next evaluation; those that a resumed run has taken are left out."""
        state = self.state
        state.network.train()
        if not state.taken:
            state.drawn_from = [stream.sampler.state() for stream in state.streams]
            state.started = time.monotonic()
        begun = state.step - state.taken
        count = min(self.schedule.evaluate_every, self.schedule.steps - begun)
        # Positions go to where the images lie; those in a file are gathered on the host.
        drawn = [stream.sampler.take(count)[state.taken :] for stream in state.streams]
        rows = [
            self.ranks.share(rows).to(stream.set.images.device)
            for rows, stream in zip(drawn, state.streams, strict=True)
        ]
        factors = [
            self.ranks.factor(share.shape[1], whole.shape[1])
            for share, whole in zip(rows, drawn, strict=True)
        ]
        sets = [stream.set for stream in state.streams]
        for offset, images in enumerate(gathered(sets, rows, count - state.taken)):
            self._step(images, [rows_[offset] for rows_ in rows], factors)
            after_step()
        state.curves.average(self.ranks.average)
        self.check()
        state.intervals.append(1000 * (time.monotonic() - state.started) / count)

    def check(self) -> None:
        """Wait for the device.

        Raises:
            ArithmeticError: if a loss or a gradient since the last evaluation is NaN or infinite.
        """
        if self.state.mixer is not None:
            self.state.mixer.check()
        bad = self.state.curves.first_bad_loss()
        if bad is not None:
            step = self.state.step - self.state.taken + bad[0]
            raise ArithmeticError(f"step {step}: the loss of {bad[1]} is NaN or infinite")

    def evaluate(self, images: ImageSet, log: Callable[[str], None]) -> None:
        """End an interval with a look at H."""
        state = self.state
        state.evaluated(*evaluate_on_device(state.network, images, ranks=self.ranks))
        log(f"step {state.step}/{self.schedule.steps}: {_status(state.rows[-1])}")

    def _step(
        self, images: Sequence[Tensor], rows: Sequence[Tensor], factors: Sequence[float]
    ) -> None:
        state = self.state
        with self.ranks.statistics():
            contexts = self._contexts(images, rows)
            if self.joint is not None:
                self.joint.features_together(state.network, contexts, state.terms)
            losses = {
                index: term(context)
                for index, (term, context) in enumerate(zip(state.terms, contexts, strict=True))
                if state.streams[index].recipe.role != "companion"
            }
        # A rank with more than its part of the images counts for more in the ranks' average.
        losses = {i: loss if factors[i] == 1 else factors[i] * loss for i, loss in losses.items()}
        state.optimizer.zero_grad()
        shared = any(context.used_by_others for context in contexts)
        mixed = self._update(losses, retain_graph=shared)
        state.curves.add(list(losses.values()), mixed)
        state.step += 1
        state.taken += 1

    def _contexts(self, images: Sequence[Tensor], rows: Sequence[Tensor]) -> list[Context]:
        """A context per stream; each can see the others by the names of their sets."""
        by_name: dict[str, Context] = {}
        contexts = []
        for stream, batch, row in zip(self.state.streams, images, rows, strict=True):
            context = Context(
                self.state.network,
                training_input(self.state.network, batch, flip=self.schedule.flip),
                stream.set.labels[row.to(self.state.device)],
                stream.set.label_space,
                stream.set.domain,
                step=self.state.step,
                steps=self.schedule.steps,
                streams=by_name,
                autocast=self.autocast,
            )
            contexts.append(by_name.setdefault(stream.name, context))
        return contexts

    def _update(self, losses: Mapping[int, Tensor], *, retain_graph: bool) -> Any | None:
        # One scalar per gradient: losses that belong together are added before any mixing.
        sources = [sum_of([losses[index] for index in group]) for group in self.groups]
        if self.state.mixer is None:
            torch.stack(sources).sum().backward()
            self.ranks.average_gradients(self.state.network.parameters())
            self.state.optimizer.step()
            return None
        guides = [] if self.guide is None else [losses[self.guide]]
        mixer = self.state.mixer
        mixed = mixer.backward(sources, *guides, retain_graph=retain_graph)
        mixer.step(self.state.optimizer)
        return None if mixer.needs == "losses" else mixed


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
    network: nn.Module,
    images: ImageSet,
    batch_size: int | None = None,
    *,
    ranks: Ranks = ALONE,
) -> tuple[float, float]:
    """Mean cross entropy and accuracy of a set that lies on the device; the network's mode is put back.

    Several ranks take turns in batches, and all get the same two numbers.
    """
    was_training = network.training
    network.eval()
    loss = torch.zeros((), device=images.device)
    correct = torch.zeros((), device=images.device)
    most = batch_size or prediction_size(network, images.device)
    size = min(most, -(-len(images) // ranks.count))
    for start in range(ranks.rank * size, len(images), ranks.count * size):
        part = torch.arange(start, min(start + size, len(images)))
        labels = images.labels[start : start + size]
        inputs = evaluation_input(network, images.take(part))
        logits = network(inputs, images.label_space, images.domain).float()
        loss += functional.cross_entropy(logits, labels, reduction="sum")
        correct += (logits.argmax(dim=1) == labels).sum()
    network.train(was_training)
    loss, correct = ranks.sum(loss), ranks.sum(correct)
    return float(loss) / len(images), float(correct) / len(images)


def _status(row: dict[str, float]) -> str:
    losses = " ".join(
        f"{k[5:]} {v:.3f}" for k, v in row.items() if k.startswith("loss/") and v == v
    )
    eta = f", eta {row['eta']:.2f}" if "eta" in row else ""
    training = f", loss {losses}" if losses else ""
    accuracy = 100 * row["hyper_validation_accuracy"]
    return f"H accuracy {accuracy:.1f} %, H loss {row['hyper_validation_loss']:.3f}{training}{eta}"
