"""Runs cases, each in a process with limits on time and memory, until minimum counts and minutes are reached."""

import itertools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.verdict import BAD, UNCLEAR, BadCaseError

if TYPE_CHECKING:
    from tests.faults.miniature import Miniature

MEMORY = 4 << 30  # bytes beyond what the campaign itself has
WHOLE_MINUTES = 30  # of which the minimum counts are


@dataclass
class Case:
    """One case: its seed decides all of it."""

    kind: str
    seed: int
    folder: Path
    miniature: "Miniature | None"
    chance: random.Random
    done: list[str] = field(default_factory=list)

    def did(self, what: str) -> None:
        """Note what was done, for who reads of a bad case."""
        self.done.append(what)


@dataclass(frozen=True)
class Kind:
    """A class of faults.

    Attributes:
        says: what its cases do, in a line.
        run: does one; gives CLEAR or SURVIVED, or raises BadCaseError.
        at_least: number of cases of a whole campaign, of half an hour.
        seconds: that a case may take.
        seeds: of cases that come first in every campaign, because they once found a fault.
        on_miniature: whether its cases need the finished miniature.
        skipped: gives a reason why this machine cannot run it, or nothing.
    """

    name: str
    says: str
    run: Callable[[Case], str]
    at_least: int
    seconds: float = 60
    seeds: Sequence[int] = ()
    on_miniature: bool = False
    skipped: Callable[[], str] = lambda: ""


@dataclass(frozen=True)
class Ended:
    """What came of a case."""

    kind: str
    seed: int
    verdict: str
    done: list[str]
    why: str
    seconds: float


def run_case(kind: Kind, seed: int, folder: Path, miniature: "Miniature | None") -> Ended:
    """Run a case in this process."""
    case = Case(kind.name, seed, folder, miniature, random.Random(f"{kind.name}:{seed}"))
    start, why = time.monotonic(), ""
    try:
        verdict = kind.run(case)
    except BadCaseError as bad:
        verdict, why = bad.verdict, str(bad)
    except BaseException:
        verdict, why = UNCLEAR, f"the case itself: {traceback.format_exc()[-1500:]}"
    return Ended(kind.name, seed, verdict, case.done, why, time.monotonic() - start)


def run_cases(
    kinds: Sequence[Kind],
    minutes: float,
    seed: int,
    folder: Path,
    miniature: "Miniature | None",
    *,
    end: float,
    processes: int = 2,
    slowness: float = 1.0,
) -> list[Ended]:
    """Run every class's minimum, which the minutes scale, and more of all of them until the end.

    Args:
        kinds: the classes.
        minutes: of the campaign, its preparation included.
        seed: of the cases that come after the committed ones.
        folder: for the cases' files.
        miniature: if a class needs it.
        end: when no case beyond the minimum is started any more, of `time.monotonic`.
        processes: cases at a time.
        slowness: stretches the time limits on a machine that is slow or busy.
    """
    least = {kind.name: ceil(kind.at_least * minutes / WHOLE_MINUTES) for kind in kinds}
    seeds = {kind.name: seeds_of(kind, seed) for kind in kinds}
    started: Counter[str] = Counter()
    running: dict[int, _Running] = {}
    ended: list[Ended] = []
    while True:
        short = [kind for kind in kinds if started[kind.name] < least[kind.name]]
        candidates = short or (list(kinds) if time.monotonic() < end else [])
        if candidates and len(running) < processes:
            kind = min(candidates, key=lambda kind: started[kind.name] / kind.at_least)
            started[kind.name] += 1
            run = _start(kind, next(seeds[kind.name]), folder, miniature, slowness)
            running[run.process] = run
            continue
        if not running:
            return ended
        for process in [process for process in running if running[process].over()]:
            ended.append(running.pop(process).ended())
            if ended[-1].verdict in BAD:
                print(in_words(ended[-1]), flush=True)
            if len(ended) % 100 == 0:
                print(f"{len(ended)} cases", file=sys.stderr, flush=True)
        time.sleep(0.01)


def seeds_of(kind: Kind, seed: int) -> Iterator[int]:
    """The committed seeds, then those of this campaign without end."""
    return itertools.chain(kind.seeds, itertools.count(seed * 1_000_000))


def in_words(ended: Ended) -> str:
    """A bad case, with what runs it again."""
    did = "; ".join(ended.done)
    return f"{ended.verdict.upper()} --only {ended.kind}:{ended.seed} ({ended.seconds:.0f} s)\n  {did}\n  {ended.why}"


@dataclass
class _Running:
    kind: Kind
    seed: int
    folder: Path
    process: int
    until: float
    began: float
    status: int | None = None
    too_long: bool = False

    def over(self) -> bool:
        if time.monotonic() > self.until:
            self.too_long = True
            _end_group(self.process)
        process, status = os.waitpid(self.process, 0 if self.too_long else os.WNOHANG)
        self.status = status
        return process != 0

    def ended(self) -> Ended:
        _end_group(self.process)  # what the case left behind
        result, seconds = self.folder / "ended.json", time.monotonic() - self.began
        if self.too_long:
            bad = f"it took longer than {self.until - self.began:.0f} s"
        elif not result.exists():
            bad = f"the process ended with {os.waitstatus_to_exitcode(self.status or 0)}"
        else:
            ended = Ended(**json.loads(result.read_text()))
            _remove(self.folder)
            return ended
        notes = self.folder / "did"
        done = notes.read_text().splitlines() if notes.exists() else []
        _remove(self.folder)
        return Ended(self.kind.name, self.seed, UNCLEAR, done, bad, seconds)


def _start(
    kind: Kind, seed: int, folder: Path, miniature: "Miniature | None", slowness: float
) -> _Running:
    own = folder / f"{kind.name}-{seed}".replace(" ", "_")
    _remove(own)
    own.mkdir(parents=True)
    sys.stdout.flush()
    now = time.monotonic()
    child = os.fork()
    if child:
        return _Running(kind, seed, own, child, now + kind.seconds * slowness, now)
    try:
        os.setsid()
        quiet = os.open(own / "said", os.O_WRONLY | os.O_CREAT)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        _limit_memory()
        ended = run_case(kind, seed, own, miniature)
        (own / "ended.json").write_text(json.dumps(ended.__dict__))
    finally:
        os._exit(0)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _end_group(process: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def _remove(folder: Path) -> None:
    for place in folder.glob("*/results"):  # a case of a full disk that was ended in the middle
        if place.is_mount():
            subprocess.run(["umount", "-l", place], check=True)
    shutil.rmtree(folder, ignore_errors=True)
