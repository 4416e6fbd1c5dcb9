"""The campaign's command line."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults import record
from tests.faults.campaign import Ended, Kind, in_words, run_case, run_cases
from tests.faults.classes import KINDS
from tests.faults.verdict import BAD


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a campaign, or single cases; the exit status is 1 where anything did not end well."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--classes", nargs="+", choices=[kind.name for kind in KINDS])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", nargs="+", metavar="CLASS:SEED", help="these cases alone")
    parser.add_argument("--folder", type=Path, help="to work in, and to keep")
    parser.add_argument("--into", type=Path, help="write the page of the record")
    chosen = parser.parse_args(arguments)
    only = [(name, int(seed)) for name, _, seed in (x.partition(":") for x in chosen.only or [])]
    names = [name for name, _ in only] or chosen.classes or [kind.name for kind in KINDS]
    kinds = [kind for kind in KINDS if kind.name in names]
    if unknown := set(names) - {kind.name for kind in kinds}:
        parser.error(f"there is no class {', '.join(unknown)}")
    skipped = {kind.name: why for kind in kinds if (why := kind.skipped())}
    kinds = [kind for kind in kinds if kind.name not in skipped]

    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="gradmix-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    try:
        miniature = None
        record.prepare()
        if any(kind.on_miniature for kind in kinds):
            from tests.faults.miniature import make_miniature

            shutil.rmtree(folder / "miniature", ignore_errors=True)
            miniature = make_miniature(folder / "miniature")
            print(f"the miniature took {time.monotonic() - start:.0f} s", file=sys.stderr)
        cases = folder / "cases"
        if only:
            ended = [_alone(kinds, *case, cases, miniature) for case in only]
        else:
            ended = run_cases(
                kinds,
                chosen.minutes,
                chosen.seed,
                cases,
                miniature,
                end=start + 60 * chosen.minutes,
                processes=chosen.processes,
                slowness=record.slowness(),
            )
    finally:
        if chosen.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(record.table(KINDS, ended, skipped))
    took = time.monotonic() - start
    print(f"{len(ended)} cases in {took / 60:.1f} minutes")
    if chosen.into:
        record.write(chosen.into, KINDS, ended, skipped, vars(chosen), took)
    return int(any(one.verdict in BAD for one in ended))


def _alone(kinds: Sequence[Kind], name: str, seed: int, folder: Path, miniature: object) -> Ended:
    """Run one case in this process, where its output is seen."""
    (kind,) = [kind for kind in kinds if kind.name == name]
    own = folder / f"{name}-{seed}".replace(" ", "_")
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(parents=True)
    ended = run_case(kind, seed, own, miniature)
    print(in_words(ended))
    return ended


if __name__ == "__main__":
    sys.exit(main())
