"""Trains runs of one kind from where they stand to their outcomes, in one part or in two (H2)."""

from collections.abc import Sequence

from gradmix.training.loop import train
from gradmix.training.prepare import Prepared, fine_tuning
from gradmix.training.progress import Log, progress_bar
from gradmix.training.settings import Pace
from gradmix.training.state import Outcome, RunState, TrainingError
from gradmix.training.step import MakeStep
from gradmix.training.stop import Stop


def train_group(
    group: Sequence[Prepared], make_step: MakeStep, *, pace: Pace, stop: Stop, log: Log
) -> list[Outcome | TrainingError]:
    """Train runs that can take their steps together.

    Args:
        group: of one kind.
        make_step: makes what takes the steps of those that have come equally far.
        pace: how often checkpoints are written.
        stop: asked behind every step whether to end.
        log: gets a line per event.

    Returns:
        What became of each: its outcome, or why it broke off.

    Raises:
        Terminated, RunInUseError, TrainingError: see `gradmix.training.loop.train`.
    """
    first, among = group[0], len(group) > 1
    for run in group:
        for note in run.notes:
            log(f"note: {run.run.name}: {note}" if among else f"note: {note}")
    who = f"{len(group)} models together, {first.run.name} and on" if among else first.title
    steps, device = first.state.schedule.steps, first.state.device
    log(f"{who}: {steps} steps on {device}, {first.sizes}")

    def train_all(states: Sequence[RunState], title: str, *, keep_end: bool = False) -> None:
        """To the end; those that have come equally far go on together."""
        reached: dict[tuple[int, int, bool], list[RunState]] = {}
        for state in states:
            if state.resume():
                log(f"{state.name + ': ' if among else ''}resumed at step {state.step}")
            reached.setdefault((state.step, state.taken, bool(state.rows)), []).append(state)
        for part in reached.values():
            bar = f"{len(part)} models, {title}" if len(part) > 1 else title
            with progress_bar(bar, part[0].schedule.steps) as progress:
                train(
                    part,
                    make_step,
                    log=log,
                    progress=progress,
                    pace=pace,
                    stop=stop,
                    keep_end=keep_end,
                )

    two_parts = first.run.settings.fine_tuning is not None
    train_all([run.state for run in group], first.title, keep_end=two_parts)
    ended = [_end(run.state) for run in group]
    if not two_parts:
        return ended
    second = {
        place: fine_tuning(group[place], outcome)
        for place, outcome in enumerate(ended)
        if isinstance(outcome, Outcome)
    }
    if second:
        part = next(iter(second.values()))
        log(f"H2: fine-tuning on {part.streams[0].name} for {part.schedule.steps} steps")
        train_all(list(second.values()), "H2")
    for place, state in second.items():
        outcome, more = ended[place], _end(state)
        assert isinstance(outcome, Outcome)
        ended[place] = outcome.followed_by(more) if isinstance(more, Outcome) else more
    return ended


def _end(state: RunState) -> Outcome | TrainingError:
    if state.error is None:
        return state.outcome()
    return TrainingError(f"{state.name}: {state.error}")
