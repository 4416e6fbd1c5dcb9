"""Training of several networks together: each its own weights, batches and rates, all in the same calls.

Shapes: M models, S streams, T steps, B images of a mini-batch, L layers, R losses that are mixed.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import Any

import torch
from torch import Tensor

from gradmix.nets.inputs import training_input
from gradmix.terms.context import Context
from gradmix.training.ahead import gathered
from gradmix.training.checkpoints import Pace
from gradmix.training.lock import RunInUseError
from gradmix.training.loop import TrainingError, gradient_groups, sum_of
from gradmix.training.packed_batches import PackedStream
from gradmix.training.packed_member import Log, Member
from gradmix.training.packed_network import PackedNetwork, same_images
from gradmix.training.packed_report import PackedReport
from gradmix.training.packed_sgd import PackedSGD
from gradmix.training.sgd import SGD
from gradmix.training.stop import STATUS, Stop, Terminated


def train_members(
    members: Sequence[Member],
    *,
    log: Log,
    progress: Callable[[int, str], None],
    pace: Pace,
    stop: Stop,
    keep_end: bool = False,
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
    pack = _Pack(members, log)
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
                    pack = writer.pack = _Pack(pack.going, log)
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

    def __init__(self, members: Sequence[Member], log: Log) -> None:
        first = members[0].run
        self.members = list(members)
        self.schedule = first.schedule
        self.terms = first.terms
        self.roles = first.streams
        self.groups, self.guide = gradient_groups(first.streams)
        self.network = PackedNetwork([member.run.network for member in members])
        optimizers = [member.state.optimizer for member in members]
        self.optimizer = PackedSGD(
            self.network.parameters, [o for o in optimizers if isinstance(o, SGD)]
        )
        mixers = [member.run.mixer for member in members]
        self.mixer = None if mixers[0] is None else mixers[0].stack(mixers, self.network.of_first)
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
        self.report = PackedReport(members)
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
        for member, fault in zip(self.members, self.report.handed_out(), strict=True):
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
        self.optimizer.zero_grad()
        mixed = None
        if self.mixer is None:
            sum_of([loss_M.sum() for loss_M in sources]).backward()
            self.optimizer.step()
        else:
            guides = [] if self.guide is None else [losses_SM[self.guide]]
            mixed = self.mixer.backward(sources, *guides, retain_graph=retain_graph)
            self.mixer.step(self.optimizer)
        told = None if self.mixer is None or self.mixer.needs == "losses" else mixed
        self.report.add(list(losses_SM.values()), told)
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
