"""A training step of two commits: processes of each take turns, so that what else the machine does falls on both.

    python -m benchmarks.compare OLD [NEW]

NEW is the working tree unless named. Every process takes GradMix's steps, separate and joint, beside the limit
(`benchmarks.step`), on one thread. Prints, per case and variant, both medians and NEW / OLD pair by pair.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
ROUNDS = {"digits-2": 7, "mlp-8": 9, "resnet64-2": 3}

# Run inside each tree, so it names only what both have.
STEPS = """
import json, sys, torch
torch.set_num_threads(1)
from benchmarks.cases import CASES
from benchmarks.measuring import in_turns
from benchmarks.variants import EXACT, LIMIT, TOGETHER, VARIANTS, make_variants
wanted = {name: VARIANTS[name] for name in (LIMIT, EXACT, TOGETHER)}
steps, _ = make_variants(CASES[sys.argv[1]]("cpu"), wanted)
print(json.dumps(in_turns(steps, rounds=int(sys.argv[2]))))
"""


def milliseconds(tree: Path, case: str) -> dict[str, float]:
    """Median of every variant's steps in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", STEPS, case, str(ROUNDS[case])]
    done = subprocess.run(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    times = json.loads(done.stdout.splitlines()[-1])
    return {name: 1e3 * statistics.median(seconds) for name, seconds in times.items()}


def compare(old: Path, new: Path, cases: Sequence[str], pairs: int) -> None:
    """Print a line per case and variant."""
    for case in cases:
        both = [(milliseconds(old, case), milliseconds(new, case)) for _ in range(pairs)]
        for name in both[0][0]:
            ratios = sorted(b[name] / a[name] for a, b in both)
            before, after = (
                statistics.median(one[name] for one in side) for side in zip(*both, strict=True)
            )
            print(
                f"{case}, {name}: {before:.4g} ms, then {after:.4g} ms; ratio {statistics.median(ratios):.3f} "
                f"({ratios[0]:.3f} to {ratios[-1]:.3f}, n = {pairs})",
                flush=True,
            )


@contextmanager
def checked_out(commits: Mapping[str, str | None]) -> Iterator[dict[str, Path]]:
    """A tree for each name, given away afterwards: its commit's, or for ``None`` the working tree itself."""
    git = ["git", "-C", str(REPOSITORY), "worktree"]
    with tempfile.TemporaryDirectory() as folder:
        trees = dict.fromkeys(commits, REPOSITORY)
        try:
            for name, commit in commits.items():
                if commit is not None:
                    tree = Path(folder, name)
                    command = [*git, "add", "--quiet", "--detach", str(tree), commit]
                    subprocess.run(command, check=True)
                    trees[name] = tree
            yield trees
        finally:
            for tree in trees.values():
                if tree != REPOSITORY:
                    subprocess.run([*git, "remove", "--force", str(tree)], check=False)


def main() -> None:
    """Check out what is named and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old")
    parser.add_argument("new", nargs="?")
    parser.add_argument("--cases", default=",".join(ROUNDS), help="of benchmarks.cases")
    parser.add_argument("--pairs", type=int, default=4)
    asked = parser.parse_args()
    with checked_out({"old": asked.old, "new": asked.new}) as trees:
        compare(trees["old"], trees["new"], asked.cases.split(","), asked.pairs)


if __name__ == "__main__":
    main()
