"""Trains runs from files to files: the only driver, for one run and for many."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch

from gradmix.errors import asked_for, out_of_memory
from gradmix.training.alone import Alone
from gradmix.training.candidates import candidate_folder, keep_best
from gradmix.training.device import device_for_run
from gradmix.training.job import Files, Run, if_several
from gradmix.training.joint import features_together
from gradmix.training.lock import RunInUseError
from gradmix.training.phases import train_group
from gradmix.training.prepare import Prepared, prepare
from gradmix.training.progress import Log
from gradmix.training.ranks import ALONE, Ranks
from gradmix.training.record import record_of, write_record
from gradmix.training.settings import Pace
from gradmix.training.stacked import Stacked
from gradmix.training.stacking import grouped
from gradmix.training.state import Outcome, RunState, TrainingError
from gradmix.training.step import Step
from gradmix.training.stop import Stop
from gradmix.training.store import RunStore


def train_runs(runs: Sequence[Run], log: Log, ranks: Ranks = ALONE) -> None:
    """Train runs of one device, threads and store, and write each one's record into its folder, whole or not at all.

    A process start and the reading of the images cost more than a small run; many runs pay them once. Trained one
    after another (``job.models_at_once`` 1) the records are those of single runs, bit for bit; stacked, to rounding.
    What a broken job had finished is found in the store and not trained again, and a run that breaks off leaves the
    others.

    Args:
        runs: one with candidates tries them all, and the best on H is its record.
        log: gets one line per event.
        ranks: the processes that train together, each calling this with the same arguments
            (`gradmix.training.launch` starts them); the first of them writes.

    Raises:
        ValueError: if inputs do not fit each other or the network, another process works on a run
            (`RunInUseError`), or the memory is too small for the settings.
        TrainingError: if a run broke off, of several the first.
        Terminated: after SIGTERM, with a checkpoint of what was being trained.
    """
    with ExitStack() as folders:
        single: list[Run] = []
        tried: list[tuple[Run, list[Run]]] = []
        for run in runs:
            if run.settings.candidates:
                # Each is kept in the store when it is finished, so a broken job repeats none.
                folder = folders.enter_context(candidate_folder(run.job.store, log))
                tried.append((run, run.tried_in(folder)))
                single += tried[-1][1]
            else:
                single.append(run)
        _train_all(single, log, ranks)
        for run, candidates in tried if ranks.first else []:
            chosen = keep_best({each.output.name: each.output for each in candidates}, run.output)
            names = ", ".join(run.settings.candidates)
            log(f"{run.settings.name}: {chosen} does best on H of {names}")


def _train_all(runs: Sequence[Run], log: Log, ranks: Ranks) -> None:
    job = runs[0].job
    at_once = job.models_at_once if ranks.count == 1 else 1
    stop = Stop()
    with ExitStack() as held:
        if ranks.first:
            held.enter_context(stop.listening())
        device = ranks.device or held.enter_context(device_for_run(job.device, job.threads))
        driver = _Driver(Files(shared=at_once > 1), device, job.pace, stop, log, ranks)
        for start in range(0, len(runs), at_once):
            part = runs[start : start + at_once]
            driver.train(part)
            if len(runs) > 1:
                log(f"{start + len(part) - len(driver.errors)} of {len(runs)} models done")
    if driver.errors:
        raise driver.errors[0]


class _Driver:
    """What all runs of a job are trained with.

    Attributes:
        errors: of the runs that broke off.
    """

    def __init__(
        self,
        files: Files,
        device: torch.device,
        pace: Pace,
        stop: Stop,
        log: Log,
        ranks: Ranks,
    ) -> None:
        self.errors: list[Exception] = []
        self._files = files
        self._device = device
        self._pace = pace
        self._stop = stop
        self._log = log
        self._ranks = ranks

    def train(self, runs: Sequence[Run]) -> None:
        """Train runs to their records, those of one kind in the same calls."""
        with ExitStack() as held:
            with _memory_told(runs, self._device):
                ready = self._ready(runs, held)
            groups, reasons = grouped(ready) if len(runs) > 1 else ([[run] for run in ready], {})
            for reason, count in reasons.items():
                self._log(f"{count} of {len(runs)} models one after another: {reason}")
            for group in groups:
                with _memory_told([each.run for each in group], self._device, group[0].state):
                    ended = train_group(
                        group, _step, pace=self._pace, stop=self._stop, log=self._log
                    )
                for run, outcome in zip(group, ended, strict=True):
                    if isinstance(outcome, TrainingError):
                        if self._ranks.count > 1:
                            raise outcome  # a rank that went on alone would leave the others waiting
                        self.errors.append(outcome)
                    else:
                        self._finish(run, outcome, len(group))

    def _ready(self, runs: Sequence[Run], held: ExitStack) -> list[Prepared]:
        """Own the runs' folders; those that are finished are put back, the others made ready."""
        stores = []
        for run in runs:
            identity = run.identity(self._files.hashes(run.job), self._device)
            store = RunStore(run.job.store, identity, writes=self._ranks.first, log=self._log)
            stores.append(store)
        # In one order everywhere, so that two processes with the same runs do not wait for each other in a ring.
        pairs = sorted(zip(runs, stores, strict=True), key=lambda pair: pair[1].key)
        for run, store in pairs if self._ranks.first else []:
            try:
                held.enter_context(store.held(self._log))
            except RunInUseError as error:
                raise RunInUseError(f"{run.name}: {error}") from error
        ready = []
        for run, store in zip(runs, stores, strict=True):
            # The other ranks wait here until the first holds the run, before they read a checkpoint.
            if self._ranks.agreed(self._ranks.first and store.restore(run.output)):
                self._log(
                    f"{run.output}: finished before with the same settings, inputs and code; restored"
                )
                continue
            inputs = self._files.inputs(run)
            ready.append(prepare(run, inputs, store, self._device, self._ranks))
        return ready

    def _finish(self, ready: Prepared, outcome: Outcome, models: int) -> None:
        """Write a run's record and keep it in the store."""
        execution = if_several("ranks", self._ranks.count)
        execution |= if_several("models_at_once", models)
        record = record_of(ready, outcome, self._files.hashes(ready.run.job), execution)
        who = f"{ready.run.name}: " if models > 1 else ""
        for note in record["notes"][len(ready.notes) :]:
            self._log(f"note: {who}{note}")
        if record["chosen_in_last_tenth"]:
            self._log(
                f"{who}the chosen step {outcome.step} lies in the last tenth: more steps may do better"
            )
        if self._ranks.first:
            try:
                ready.store.check_owner()
                write_record(ready, outcome, record)
                ready.store.finish(ready.run.output)
            except ValueError as error:
                self.errors.append(type(error)(f"{ready.run.name}: {error}"))


@contextmanager
def _memory_told(
    runs: Sequence[Run], device: torch.device, state: RunState | None = None
) -> Iterator[None]:
    """Turn running out of memory into what was too large, and the keys that make it smaller."""
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        training = runs[0].settings.to_json()["training"]
        sizes = {key: value for key, value in training.items() if key.endswith("batch_size")}
        remedies = ["resources.models_at_once"] if len(runs) > 1 else []
        remedies += [f"training.{key}" for key in sizes]
        if device.type == "cuda":
            remedies.append("resources.gpu_slots, where jobs share the GPU")
        more = (
            "" if device.type == "cuda" else "; or give the job more memory (resources.memory_mb)"
        )
        several = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
        when = "before its first step" if state is None else f"in step {state.step + 1}"
        batch = ", ".join(f"{key} {size}" for key, size in sizes.items())
        raise ValueError(
            f"{runs[0].name}{several}: out of memory on {device} {when}{asked_for(error)}, with {batch}, "
            f"models_at_once {len(runs)}; lower {' or '.join(remedies)}{more}"
        ) from error


def _step(states: Sequence[RunState]) -> Step:
    """What takes their steps; chosen here, so that no run's code depends on what it does not use."""
    if len(states) > 1:
        return Stacked(states)
    together = states[0].schedule.forward == "together"
    return Alone(states, features_together if together else None)
