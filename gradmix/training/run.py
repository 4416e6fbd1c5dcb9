"""Train one method, or a pack of runs, from files to files."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import torch

from gradmix.training.candidates import candidate_folder, keep_best
from gradmix.training.device import device_for_run
from gradmix.training.job import Job
from gradmix.training.lock import RunInUseError
from gradmix.training.loop import Outcome, TrainingError, train
from gradmix.training.packed_runs import train_together
from gradmix.training.prepared import Prepared, fine_tuning, joined, prepare, record_of
from gradmix.training.progress import progress_bar
from gradmix.training.ranks import ALONE, Ranks
from gradmix.training.record import write_record
from gradmix.training.runs import Files, Run, identity_of, several
from gradmix.training.stop import Stop
from gradmix.training.store import RunStore

Log = Callable[[str], None]


def train_method(
    settings: Mapping[str, Any], job: Job, output: Path, log: Log, ranks: Ranks = ALONE
) -> None:
    """Train the method that ``settings`` describe and write model, curves and record into ``output``.

    Args:
        settings: name, recipe, sources, target, training, gradmix, options, network, image
            (`Config.method_settings`); optionally candidates, settings by name, of which the best on H is the
            method's run; and optionally title, on which the result does not depend.
        job: the files.
        output: folder of model.safetensors, curves.parquet and run.json; written whole or not at all.
        log: gets one line per event.
        ranks: the processes that train together, each calling this with the same arguments
            (`gradmix.training.launch` starts them); the first of them writes.

    Raises:
        ValueError: if inputs do not fit each other or the network.
        TrainingError: if training cannot go on.
    """
    _train_methods(settings, [job], [output], log, ranks)


def train_draws(
    settings: Mapping[str, Any], jobs: Sequence[Job], outputs: Sequence[Path], log: Log
) -> None:
    """Train a method for several draws, a job and a folder each (see `train_method`)."""
    if jobs[0].models_at_once > 1:
        _train_methods(settings, jobs, outputs, log, ALONE)
        return
    for job, output in zip(jobs, outputs, strict=True):
        train_method(settings, job, output, log)


def train_pack(
    members: Sequence[Mapping[str, Any]],
    outputs: Sequence[Path],
    job: Job,
    log: Log,
    ranks: Ranks = ALONE,
) -> None:
    """Train several runs that share data and draw, one record each (see `train_method`).

    A process start and the reading of the images cost more than a small run; a pack pays them once.
    Members that a broken run had finished are found in the store and not trained again. Trained one after another
    (``job.models_at_once`` 1) the records are those of single runs, bit for bit; trained together, to rounding.
    """
    _train_runs(
        [Run(member, job, output) for member, output in zip(members, outputs, strict=True)],
        log,
        ranks,
    )


def _train_methods(
    settings: Mapping[str, Any],
    jobs: Sequence[Job],
    outputs: Sequence[Path],
    log: Log,
    ranks: Ranks,
) -> None:
    candidates = settings.get("candidates")
    if not candidates:
        runs = [Run(settings, job, output) for job, output in zip(jobs, outputs, strict=True)]
        _train_runs(runs, log, ranks)
        return
    titled = {"title": settings["title"]} if "title" in settings else {}
    with ExitStack() as stack:
        folders = [stack.enter_context(candidate_folder(job.store, log)) for job in jobs]
        # Each is kept in the store when it is finished, so a broken job repeats none.
        runs = [
            Run({**member, **titled}, job, folder / name)
            for job, folder in zip(jobs, folders, strict=True)
            for name, member in candidates.items()
        ]
        _train_runs(runs, log, ranks)
        for folder, output in zip(folders, outputs, strict=True):
            if ranks.first:
                chosen = keep_best(list(candidates), [folder / n for n in candidates], output)
                log(f"{settings['name']}: {chosen} does best on H of {', '.join(candidates)}")


def _train_runs(runs: Sequence[Run], log: Log, ranks: Ranks) -> None:
    """Runs of one device, threads and store; each finished one is kept, whatever becomes of the others."""
    job = runs[0].job
    stop = Stop()
    with (
        stop.listening() if ranks.first else nullcontext(),
        nullcontext(ranks.device)
        if ranks.device
        else device_for_run(job.device, job.threads) as device,
    ):
        files = Files(shared=job.models_at_once > 1)
        failed: list[Exception] = []
        if job.models_at_once > 1:
            runs, failed = train_together(runs, files, device, stop, log, ranks)
        for number, run in enumerate(runs):
            identity = identity_of(run, files.hashes(run.job), device)
            store = RunStore(job.store, identity, writes=ranks.first)
            try:
                with store.held(log) if ranks.first else nullcontext():
                    # The others wait here until the first holds the run, before they read a checkpoint.
                    if ranks.agreed(ranks.first and store.restore(run.output)):
                        log(
                            f"{run.output}: finished before with the same settings, inputs and code; restored"
                        )
                        continue
                    _train_one(run, files, store, device, stop, log, ranks)
                    store.finish(run.output)
            except (TrainingError, RunInUseError) as error:
                raise type(error)(f"{run.name}: {error}") from error
            if len(runs) > 1:
                log(f"{number + 1} of {len(runs)} members done")
        if failed:
            raise failed[0]


def _train_one(
    run: Run,
    files: Files,
    store: RunStore,
    device: torch.device,
    stop: Stop,
    log: Log,
    ranks: Ranks,
) -> None:
    ready = prepare(run.settings, run.job, files.inputs(run), device, ranks)
    for note in ready.notes:
        log(f"note: {note}")
    log(f"{ready.title}: {ready.schedule.steps} steps on {device}, {ready.sizes}")
    outcome = _trained(ready, ready.title, store, stop, log, ranks, keep_end=ready.two_parts)
    if ready.two_parts:
        second = fine_tuning(ready, outcome)
        log(f"H2: fine-tuning on {second.streams[0].name} for {second.schedule.steps} steps")
        outcome = joined(outcome, _trained(second, "H2", store.part("H2"), stop, log, ranks))
    record = record_of(ready, outcome, files.hashes(run.job), several("ranks", ranks.count))
    if record["chosen_in_last_tenth"]:
        log(f"the chosen step {outcome.step} lies in the last tenth: more steps may do better")
    if ranks.first:
        store.check_owner()
        write_record(run.output, outcome, record)


def _trained(
    run: Prepared,
    title: str,
    store: RunStore,
    stop: Stop,
    log: Log,
    ranks: Ranks,
    *,
    keep_end: bool = False,
) -> Outcome:
    with progress_bar(title, run.schedule.steps) as progress:
        return train(
            run.network, run.mixer, run.streams, run.terms, run.validation, run.schedule, run.curves,
            store=store, log=log, progress=progress, pace=run.job.pace, stop=stop, keep_end=keep_end,
            ranks=ranks,
        )  # fmt: skip
