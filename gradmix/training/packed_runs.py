"""Which runs of a job are trained together, and their records; what keeps the others from it."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from gradmix.nets.norm import DomainBatchNorm
from gradmix.terms.term import Deterministic
from gradmix.training.lock import RunInUseError
from gradmix.training.loop import Outcome
from gradmix.training.packed import train_members
from gradmix.training.packed_batches import batch_size
from gradmix.training.packed_member import Member
from gradmix.training.prepared import Prepared, fine_tuning, joined, prepare, record_of
from gradmix.training.progress import progress_bar
from gradmix.training.ranks import Ranks
from gradmix.training.record import write_record
from gradmix.training.runs import Files, Run, identity_of, several
from gradmix.training.stop import Stop
from gradmix.training.store import RunStore

Log = Callable[[str], None]


@dataclass(frozen=True)
class _Ready:
    """A run whose folder this process holds, made ready."""

    run: Run
    made: Prepared
    store: RunStore


def train_together(
    runs: Sequence[Run], files: Files, device: torch.device, stop: Stop, log: Log, ranks: Ranks
) -> tuple[list[Run], list[Exception]]:
    """Train those of the runs that can be trained together, ``models_at_once`` at a time, and write their records.

    Returns:
        The runs that are left, to be trained one after another, and the errors of those that broke off; what the
        others trained is finished and kept all the same.

    Raises:
        RunInUseError: if another process works on one of the runs.
        TrainingError: if the device's memory is too small for so many models.
        Terminated: after SIGTERM, with a checkpoint of every run.
    """
    if ranks.count > 1:
        log("one model after another: several ranks train each")
        return list(runs), []
    size = runs[0].job.models_at_once
    left: list[Run] = []
    failed: list[Exception] = []
    for start in range(0, len(runs), size):
        with ExitStack() as held:
            part = runs[start : start + size]
            ready, others = _made_ready(part, files, device, held, log)
            left += others
            for group in ready:
                failed += _train_group(group, files, stop, log)
        log(f"{min(start + size, len(runs)) - len(left) - len(failed)} of {len(runs)} models done")
    return left, failed


def why_not(run: Prepared) -> str | None:
    """What keeps a run from being trained with others in the same calls; ``None``: nothing."""
    if run.schedule.optimizer != "sgd":
        return f"their optimizer is {run.schedule.optimizer}"
    if run.schedule.forward != "separate":
        return f"training.forward is {run.schedule.forward}"
    if run.schedule.flip or any(
        tuple(stream.set.images.shape[1:3]) != tuple(run.network.image_size)  # type: ignore[arg-type]
        for stream in run.streams
    ):
        return "their images are cut and mirrored at random"
    for stream, term in zip(run.streams, run.terms, strict=True):
        if not isinstance(term, Deterministic) and stream.recipe.role != "companion":
            return f"the term {stream.recipe.term} keeps a state or draws random numbers"
    for module in run.network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0:
            return "their network has dropout"
        if isinstance(module, DomainBatchNorm):
            return "their network has statistics per domain"
    if run.mixer is not None and _mixer_kind(run) is None:
        return f"the mixer {run.recipe.mixer} keeps a memory or solves on the host"
    return None


def kind_of(run: Prepared) -> tuple[Any, ...]:
    """What runs that are trained together have in common; learning rate, weights, images and seeds are their own."""
    state = run.network.state_dict()
    streams = [
        (
            stream.recipe,
            stream.name,
            stream.set.label_space,
            stream.set.domain,
            tuple(stream.set.images.shape[1:]),
            tuple(stream.set.labels.shape[1:]),
            batch_size(stream),
            (type(term), sorted(vars(term).items())),
        )
        for stream, term in zip(run.streams, run.terms, strict=True)
    ]
    return (
        sorted(run.settings["network"].items()),
        [(name, tuple(tensor.shape), tensor.dtype) for name, tensor in state.items()],
        _mixer_kind(run),
        streams,
        replace(run.schedule, learning_rate=0.0),
        (len(run.validation), run.validation.label_space, run.validation.domain),
    )


def _mixer_kind(run: Prepared) -> Any:
    return None if run.mixer is None else run.mixer.stack_key()


def _made_ready(
    runs: Sequence[Run], files: Files, device: torch.device, held: ExitStack, log: Log
) -> tuple[list[list[_Ready]], list[Run]]:
    """Groups that can be trained together, and the runs that cannot; finished ones are put back."""
    stores = []
    for run in runs:
        identity = identity_of(run, files.hashes(run.job), device)
        stores.append(RunStore(run.job.store, identity))
    # In one order everywhere, so that two processes with the same runs do not wait for each other in a ring.
    for run, store in sorted(zip(runs, stores, strict=True), key=lambda pair: pair[1].key):
        try:
            held.enter_context(store.held(log))
        except RunInUseError as error:
            raise RunInUseError(f"{run.name}: {error}") from error
    groups: list[tuple[tuple[Any, ...], list[_Ready]]] = []
    apart: dict[str, list[Run]] = {}
    for run, store in zip(runs, stores, strict=True):
        if store.restore(run.output):
            log(f"{run.output}: finished before with the same settings, inputs and code; restored")
            continue
        made = prepare(run.settings, run.job, files.inputs(run), device)
        reason = why_not(made)
        if reason is not None:
            apart.setdefault(reason, []).append(run)
            continue
        kind = kind_of(made)
        group = next((members for known, members in groups if known == kind), None)
        if group is None:
            groups.append((kind, group := []))
        group.append(_Ready(run, made, store))
    for kind, group in [*groups]:
        if len(group) == 1:
            apart.setdefault("no other is of their kind", []).append(group[0].run)
            groups.remove((kind, group))
    for reason, others in apart.items():
        log(f"{len(others)} of {len(runs)} models one after another: {reason}")
    alone = [id(run) for others in apart.values() for run in others]
    return [group for _, group in groups], [run for run in runs if id(run) in alone]


def _train_group(group: Sequence[_Ready], files: Files, stop: Stop, log: Log) -> list[Exception]:
    """Train runs of one kind to their records; the errors of those that broke off."""
    first = group[0].made
    for ready in group:
        for note in ready.made.notes:
            log(f"note: {ready.run.name}: {note}")
    log(
        f"{len(group)} models together, {group[0].run.name} and on: {first.schedule.steps} steps on "
        f"{first.validation.device}, {first.sizes}"
    )
    outcomes, failed = _trained(
        [(ready, ready.made, ready.store) for ready in group], stop, log, keep_end=first.two_parts
    )
    if first.two_parts:
        seconds, more = _trained(
            [
                (ready, fine_tuning(ready.made, outcomes[index]), ready.store.part("H2"))
                for index, ready in enumerate(group)
                if index in outcomes
            ],
            stop,
            log,
        )
        going = sorted(outcomes)
        outcomes = {
            going[place]: joined(outcomes[going[place]], second)
            for place, second in seconds.items()
        }
        failed += more
    for index, outcome in outcomes.items():
        ready = group[index]
        record = record_of(
            ready.made,
            outcome,
            files.hashes(ready.run.job),
            several("models_at_once", len(group)),
        )
        if record["chosen_in_last_tenth"]:
            log(
                f"{ready.run.name}: the chosen step {outcome.step} lies in the last tenth: more steps may do better"
            )
        try:
            ready.store.check_owner()
            write_record(ready.run.output, outcome, record)
            ready.store.finish(ready.run.output)
        except RunInUseError as error:
            failed.append(RunInUseError(f"{ready.run.name}: {error}"))
    return failed


def _trained(
    runs: Sequence[tuple[_Ready, Prepared, RunStore]],
    stop: Stop,
    log: Log,
    *,
    keep_end: bool = False,
) -> tuple[dict[int, Outcome], list[Exception]]:
    """Outcomes by position, and errors; those that have come equally far go on together."""
    members = [Member.of(made, store, ready.run.name, log) for ready, made, store in runs]
    reached: dict[tuple[int, int, bool], list[Member]] = {}
    for member in members:
        state = member.state
        reached.setdefault((state.step, state.taken, bool(state.rows)), []).append(member)
    for part in reached.values():
        run = part[0].run
        title = f"{len(part)} models, {run.title}"
        with progress_bar(title, run.schedule.steps) as progress:
            train_members(
                part, log=log, progress=progress, pace=run.job.pace, stop=stop, keep_end=keep_end
            )
    outcomes = {i: m.outcome() for i, m in enumerate(members) if m.error is None}
    return outcomes, [m.error for m in members if m.error is not None]
