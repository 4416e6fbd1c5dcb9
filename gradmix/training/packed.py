"""Training of several networks together: each its own weights, batches and rates, all in the same calls.

Shapes: M models, S streams, T steps, B images of a mini-batch, L layers, R losses that are mixed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradmix.nets.inputs import training_input
from gradmix.terms.context import Context
from gradmix.training.ahead import gathered
from gradmix.training.checkpoints import CheckpointStore, Pace
from gradmix.training.lock import RunInUseError
from gradmix.training.loop import Outcome, TrainingError, gradient_groups, sum_of
from gradmix.training.optimizers import make_optimizer
from gradmix.training.packed_batches import PackedStream
from gradmix.training.packed_network import Convolutions, PackedNetwork, same_images
from gradmix.training.packed_sgd import PackedSGD
from gradmix.training.prepared import Prepared
from gradmix.training.sgd import SGD
from gradmix.training.state import RunState, Snapshot
from gradmix.training.stop import STATUS, Stop, Terminated

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
        return cls(run, state, store, name, _generators(device), elapsed=elapsed)

    def keep(self) -> None:
        """Remember the present state."""
        _set_generators(self.random, self.state.device)
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
        state = self.state
        return Outcome(
            state=state.best["state"],
            step=state.best["step"],
            accuracy=state.best["accuracy"],
            loss=state.best["loss"],
            rows=state.rows,
            seconds=state.seconds,
            interval_milliseconds=state.intervals,
        )


def train_members(
    members: Sequence[Member],
    *,
    log: Log,
    progress: Callable[[int, str], None],
    pace: Pace,
    stop: Stop,
    keep_end: bool = False,
    convolutions: Convolutions = "grouped",
) -> None:
    """Train runs of one kind (`gradmix.training.packed_runs.kind_of`) that have come equally far, to their end.

    One that breaks off with a NaN leaves the others, which go on: its ``error`` says where. A run's seconds are its
    share of the pack's. The rest is as in `gradmix.training.loop.train`.

    Raises:
        Terminated: after SIGTERM, with a checkpoint of the step that was reached, for each.
        RunInUseError: if another process has taken over one of the runs.
        TrainingError: if the device's memory is too small for so many models.
    """
    if not members:
        return
    pack = _Pack(members, log, convolutions)
    writer = _Writer(pack, pace, stop, log)
    steps = members[0].run.schedule.steps
    with stop.deferring():
        if not members[0].state.rows:
            pack.evaluate()
        try:
            writer.keep()
            writer.act()
            while pack.going and (pack.step < steps or pack.taken):
                pack.advance(writer.after_step)
                progress(pack.step, pack.evaluate())
                writer.keep()
                if pack.step < steps:
                    writer.act()
                if pack.going and len(pack.going) < len(pack.members):
                    pack = writer.pack = _Pack(pack.going, log, convolutions)
            if keep_end:
                writer.rescue()
            if stop.requested:
                writer.act()
        except Terminated:
            raise
        except BaseException as error:
            for member in pack.going:
                # One that another process has taken over must not keep the others from being written.
                with suppress(RunInUseError, OSError):
                    member.rescue()
            if isinstance(error, torch.OutOfMemoryError):
                raise TrainingError(
                    f"{len(pack.members)} models do not fit into the device's memory together; lower "
                    "resources.models_at_once"
                ) from error
            raise


class _Pack:
    """The members as stacked tensors; those with an error stay in place, disturb no other, and are not looked at."""

    def __init__(self, members: Sequence[Member], log: Log, convolutions: Convolutions) -> None:
        first = members[0].run
        self.members = list(members)
        self.schedule = first.schedule
        self.terms = first.terms
        self.roles = first.streams
        self.groups, self.guide = gradient_groups(first.streams)
        self.network = PackedNetwork(
            [member.run.network for member in members], convolutions=convolutions
        )
        optimizers = [member.state.optimizer for member in members]
        self.optimizer = PackedSGD(
            self.network.parameters, [o for o in optimizers if isinstance(o, SGD)]
        )
        mixers = [member.run.mixer for member in members]
        self.mixer = None if mixers[0] is None else mixers[0].together(mixers)
        self.streams = [
            PackedStream(streams)
            for streams in zip(*(member.run.streams for member in members), strict=True)
        ]
        self.sets = [member.run.validation for member in members]
        self.same_sets = same_images(self.sets)
        self.log = log
        self.device = members[0].state.device
        self.autocast = (
            torch.autocast(self.device.type, torch.bfloat16)
            if self.schedule.precision == "bfloat16"
            else nullcontext()
        )
        self.report = _Report(members)
        # A member's clock says what part of the pack's time is its own.
        self.started = time.monotonic() - sum(m.elapsed for m in members if m.state.taken)

    @property
    def going(self) -> list[Member]:
        """Members without an error."""
        return [member for member in self.members if member.error is None]

    @property
    def step(self) -> int:
        """Steps taken by every one."""
        return self.members[0].state.step

    @property
    def taken(self) -> int:
        """Those since the last evaluation."""
        return self.members[0].state.taken

    def advance(self, after_step: Callable[[], None]) -> None:
        """Take the steps up to the next evaluation; those that resumed runs have taken are left out."""
        self.network.train()
        if not self.taken:
            for member in self.members:
                member.state.drawn_from = [s.sampler.state() for s in member.state.streams]
            self.started = time.monotonic()
        begun, taken = self.step - self.taken, self.taken
        count = min(self.schedule.evaluate_every, self.schedule.steps - begun)
        drawn = [stream.draw(count, taken) for stream in self.streams]
        rows, labels = [rows for rows, _ in drawn], [labels for _, labels in drawn]
        for offset, images in enumerate(gathered(self.streams, rows, count - taken)):
            self._step(images, [labels_TMB[offset] for labels_TMB in labels])
            after_step()
        self.check()
        milliseconds = 1000 * (time.monotonic() - self.started) / count / len(self.members)
        for member in self.members:
            member.state.intervals.append(milliseconds)

    def check(self) -> None:
        """Wait for the device, hand each member its part of the curves, and give an error to those with a NaN."""
        for member, fault in zip(self.members, self.report.handed_out(self.mixer), strict=True):
            if fault is None or member.error is not None:
                continue
            step = member.rescue()
            member.error = TrainingError(
                f"{member.name}: {fault}; the state of step {step} is kept in {member.store.folder}"
            )
            self.log(f"{member.error}; the others go on")
        self.share_time()

    def share_time(self) -> None:
        """Set each member's clock so that it shows its share of the pack's time."""
        now = time.monotonic()
        for member in self.members:
            member.state.started = now - (now - self.started) / len(self.members)

    def evaluate(self) -> str:
        """End an interval with a look at H; a line for the log."""
        losses, accuracies = self.network.evaluate(self.sets, same=self.same_sets)
        self.share_time()
        for member, loss, accuracy in zip(self.members, losses, accuracies, strict=True):
            if member.error is None:
                member.state.evaluated(loss, accuracy)
        self.report.forget()
        reached = [100 * m.state.rows[-1]["hyper_validation_accuracy"] for m in self.going]
        text = "no model left"
        if reached:
            text = f"H accuracy {min(reached):.1f} to {max(reached):.1f} % of {len(reached)} models"
        self.log(f"step {self.step}/{self.schedule.steps}: {text}")
        return text

    def _step(self, images: Sequence[Tensor], labels: Sequence[Tensor]) -> None:
        inputs = [
            training_input(self.members[0].run.network, batch, flip=False).unflatten(
                0, (len(self.members), -1)
            )
            for batch in images
        ]
        losses_SM, retain_graph = self._losses(inputs, labels)
        sources = [torch.stack([losses_SM[i] for i in group]).sum(dim=0) for group in self.groups]
        mixed = [*sources, *([] if self.guide is None else [losses_SM[self.guide]])]
        parameters, positions = self.network.parameters, self.network.positions
        if self.mixer is None:
            total = sum_of([loss_M.sum() for loss_M in sources])
            gradients = torch.autograd.grad(total, parameters, allow_unused=True)
            self.optimizer.step(gradients, [None] * len(parameters))
            self.report.add(list(losses_SM.values()), None)
        else:
            step = self.mixer.mix(mixed, parameters, positions, retain_graph=retain_graph)
            self.optimizer.step(step.gradients, step.rates)
            self.report.add(list(losses_SM.values()), step)
        for member in self.members:
            member.state.step += 1
            member.state.taken += 1

    def _losses(
        self, inputs: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> tuple[dict[int, Tensor], bool]:
        """Losses (M,) by stream, and whether one of them reads another stream's graph."""
        seen: list[Context] = []
        trained = [i for i, stream in enumerate(self.roles) if stream.recipe.role != "companion"]

        def of_one(network: Any, inputs: Sequence[Tensor], labels: Sequence[Tensor]) -> Any:
            by_name: dict[str, Context] = {}
            for stream, batch, target in zip(self.roles, inputs, labels, strict=True):
                context = Context(
                    network, batch, target, stream.set.label_space, stream.set.domain,
                    step=self.step, steps=self.schedule.steps, streams=by_name,
                    autocast=self.autocast,
                )  # fmt: skip
                seen.append(by_name.setdefault(stream.name, context))
            return [self.terms[index](seen[index]) for index in trained]

        losses = self.network.each(of_one, list(inputs), list(labels))
        retain_graph = any(context.used_by_others for context in seen)
        return dict(zip(trained, losses, strict=True)), retain_graph


class _Report:
    """What the steps since the last evaluation logged, stacked over members until it is asked for."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = list(members)
        self._steps: dict[str, list[Tensor]] = {}
        self._finite: list[Tensor] = []
        # What resumed members logged before they were broken off.
        self._earlier = [member.state.curves.state() for member in members]

    def forget(self) -> None:
        """An evaluation has made a row of it."""
        self._steps, self._finite = {}, []
        self._earlier = [{} for _ in self._members]

    def add(self, losses_SM: Sequence[Tensor], step: Any | None) -> None:
        """Keep one step on the device."""
        values = {"losses": torch.stack([loss.detach() for loss in losses_SM], dim=1)}
        if step is not None and step.report is not None:
            report = step.report
            values |= {"rho": report.rho, "eta": report.eta}
            values |= {"weights_LK": report.weights_LK, "cosines_L": report.cosines_L}
        for name, value in values.items():
            self._steps.setdefault(name, []).append(value)
        if step is not None and step.finite_MLR is not None:
            self._finite.append(step.finite_MLR)

    def handed_out(self, mixer: Any | None) -> list[str | None]:
        """Give every member's curves their values, on the host; what is wrong with each member."""
        steps = {name: torch.stack(values).cpu() for name, values in self._steps.items()}
        for index, (member, earlier) in enumerate(zip(self._members, self._earlier, strict=True)):
            own = {name: values_TM[:, index] for name, values_TM in steps.items()}
            before = {name: values.cpu() for name, values in earlier.items()}
            names = {**before, **own}
            parts = {
                name: [known[name] for known in (before, own) if name in known] for name in names
            }
            member.state.curves.load({name: torch.cat(values) for name, values in parts.items()})
        faults = [_fault(member.state) for member in self._members]
        if self._finite:
            finite_TMLR = torch.stack(self._finite).cpu()
            begun = self._members[0].state.step - len(self._finite)
            bad_M = ~finite_TMLR.all(dim=0).flatten(1).all(dim=1)
            for index in bad_M.nonzero().flatten().tolist():
                assert mixer is not None
                faults[index] = mixer.fault(finite_TMLR[:, index], begun)
            self._finite = []
        return faults


class _Writer:
    """When the members' states are written; the same for all (see `gradmix.training.checkpoints.Checkpoints`)."""

    def __init__(self, pack: _Pack, pace: Pace, stop: Stop, log: Log) -> None:
        self.pack = pack
        self._pace = pace
        self._stop = stop
        self._log = log
        self._written_at = time.monotonic()
        self._written_step = pack.step

    def after_step(self) -> None:
        """Behind every step: a flag and the clock are looked at, and no value on the device.

        Raises:
            Terminated: after SIGTERM, with this step's checkpoints written.
        """
        if self._stop.requested or self._due():
            self.pack.check()
            self.keep()
            self.act()

    def keep(self) -> None:
        """Remember the present states."""
        self.pack.share_time()
        for member in self.pack.going:
            member.keep()

    def act(self) -> None:
        """Write the remembered states if it is time to, and leave if SIGTERM came.

        Raises:
            Terminated: after SIGTERM.
        """
        if self._stop.requested:
            self.rescue()
            step, count = self.pack.step, len(self.pack.going)
            self._log(
                f"{count} models stopped by SIGTERM at step {step}; go on from there when started again"
            )
            raise Terminated(STATUS)
        if self._due():
            self.rescue()

    def rescue(self) -> None:
        """Write what is remembered and not written."""
        began = time.monotonic()
        for member in self.pack.going:
            member.rescue()
        self._written_at, self._written_step = time.monotonic(), self.pack.step
        self.pack.started += self._written_at - began

    def _due(self) -> bool:
        steps = self._pace.steps
        if steps is not None and self.pack.step - self._written_step >= steps:
            return True
        return time.monotonic() - self._written_at >= self._pace.seconds


def _fault(state: RunState) -> str | None:
    bad = state.curves.first_bad_loss()
    if bad is None:
        return None
    return f"step {state.step - state.taken + bad[0]}: the loss of {bad[1]} is NaN or infinite"


def _generators(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _set_generators(states: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
