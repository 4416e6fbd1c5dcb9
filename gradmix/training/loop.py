"""The training loop: of every method, for one run and for several at once, on one process and on several ranks."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from gradmix.training.batches import gathered
from gradmix.training.checkpoints import Checkpoints, Clock
from gradmix.training.progress import Log
from gradmix.training.settings import Pace
from gradmix.training.state import RunState
from gradmix.training.step import MakeStep, Step
from gradmix.training.stop import Stop, Terminated


def train(
    runs: Sequence[RunState],
    make_step: MakeStep,
    *,
    log: Log,
    progress: Callable[[int, str], None],
    pace: Pace | None = None,
    stop: Stop | None = None,
    keep_end: bool = False,
) -> None:
    """Train runs to their end; each evaluates on H at every interval, and keeps the state that is best there.

    A run that breaks off with a NaN or Inf has an ``error`` then, with the last whole state in its store; the others
    go on.

    Args:
        runs: equally far, at their beginning or where `RunState.resume` has put them, from where they go on bit for
            bit as if never interrupted. Trained in place.
        make_step: makes what takes their steps, `gradmix.training.alone.Alone` or `…stacked.Stacked`.
        log: gets a line per evaluation.
        progress: gets the step and a short text.
        pace: how often checkpoints are written.
        stop: asked behind every step whether to end; ``None``: never.
        keep_end: whether the last states are written, too, for a training of several parts.

    Raises:
        Terminated: after SIGTERM, with a checkpoint of the step that was reached.
        RunInUseError: if another process has taken over one of the runs.
    """
    stop = stop or Stop()
    step = make_step(runs)
    steps = step.schedule.steps
    clock = Clock(step)
    with stop.deferring():
        if not runs[0].rows:
            _evaluate(step, clock, log)
        checkpoints = Checkpoints(step, clock, pace or Pace(), stop, log)
        try:
            checkpoints.keep()
            checkpoints.write_if_due()
            while step.going and (step.number < steps or step.taken):
                # One interval: the host only queues work here, and waits at the evaluation behind it.
                if not step.taken:
                    clock = checkpoints.clock = Clock(step)
                _interval(step, clock, checkpoints.after_step)
                _tell_errors(step, log)
                progress(step.number, _evaluate(step, clock, log))
                checkpoints.keep()
                if step.number < steps:
                    checkpoints.write_if_due()
                if 0 < len(step.going) < len(step.runs):
                    step = checkpoints.step = make_step(step.going)
            if keep_end:
                checkpoints.write()
            if stop.requested:
                checkpoints.write_if_due()
        except Terminated:
            raise
        except ArithmeticError as error:
            for run in step.going:
                run.fail(str(error))
            _tell_errors(step, log)
        except BaseException:
            # Ctrl-C, a full disk, too little memory: nothing computed up to the last evaluation is lost.
            for run in step.going:
                # One that cannot be written must not keep the others from it.
                with suppress(Exception):
                    run.write()
            raise


def _interval(step: Step, clock: Clock, after_step: Callable[[], None]) -> None:
    """Take the steps up to the next evaluation; those that resumed runs have taken are left out."""
    begun, taken = step.number - step.taken, step.taken
    count = min(step.schedule.evaluate_every, step.schedule.steps - begun)
    for run in step.runs:
        run.begin_interval()
    drawn = [batches.draw(count, taken) for batches in step.batches]
    rows, labels, factors = zip(*drawn, strict=True)
    for offset, images in enumerate(gathered(step.batches, rows, count - taken)):
        step(images, [labels_TMB[offset] for labels_TMB in labels], factors)
        after_step()
    step.check()
    for run in step.runs:
        run.intervals.append(1000 * clock.elapsed / count)


def _tell_errors(step: Step, log: Log) -> None:
    others = "; the others go on" if step.going else ""
    for run in step.runs:
        if run.error is not None:
            log(f"{run.name}: {run.error}{others}")


def _evaluate(step: Step, clock: Clock, log: Log) -> str:
    """End an interval with a look at H; what it says."""
    for run, (loss, accuracy) in zip(step.runs, step.evaluate(), strict=True):
        if run.error is None:
            run.evaluated(loss, accuracy, clock.elapsed)
    text = _status(step.going)
    log(f"step {step.number}/{step.schedule.steps}: {text}")
    return text


def _status(runs: Sequence[RunState]) -> str:
    rows = [run.rows[-1] for run in runs]
    if not rows:
        return "no model left"
    reached = [100 * row["hyper_validation_accuracy"] for row in rows]
    if len(rows) > 1:
        return f"H accuracy {min(reached):.1f} to {max(reached):.1f} % of {len(rows)} models"
    (row,) = rows
    losses = " ".join(
        f"{k[5:]} {v:.3f}" for k, v in row.items() if k.startswith("loss/") and v == v
    )
    eta = f", eta {row['eta']:.2f}" if "eta" in row else ""
    training = f", loss {losses}" if losses else ""
    return (
        f"H accuracy {reached[0]:.1f} %, H loss {row['hyper_validation_loss']:.3f}{training}{eta}"
    )
