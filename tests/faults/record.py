"""The campaign's table, and the page that keeps it."""

import importlib
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measuring import hardware, in_words
from gradmix.files import write_text
from tests.faults.campaign import Ended, Kind
from tests.faults.verdict import CLEAR, LOST, SURVIVED, UNCLEAR, WRONG

PAGE = """\
# Faults

What comes of kills, full disks, damaged files and hostile inputs. Written by the program that tries them:

```sh
{command} --into docs/results/faults.md
```

*{hardware}; {versions}; {run}.*

{table}

A **clear error** is a failure whose message is a few lines, names the file, key, row or stage at fault, and shows
nothing of the inside (`tests/faults/verdict.py`). **Survived**: the result is that of an undisturbed run, bit for bit,
if need be after a second start. **Lost**: what was computed is gone, or the experiment cannot be brought to its end.
**Silently wrong**: exit status 0 and another result. An **unclear error** is any other failure: a traceback, a hang, a
crash.

Every class has a minimum count, and seeds that come first in every campaign. A case is its class and its seed, and
`python -m tests.faults --only CLASS:SEED` runs it again. The classes:

{classes}
{failed}"""
COLUMNS = (CLEAR, SURVIVED, UNCLEAR, LOST, WRONG)
PACKAGES = ("torch", "snakemake", "numpy", "pandas", "pyarrow", "pydantic", "pillow")
IMPORTED = (
    "torch",
    "pandas",
    "pyarrow.parquet",
    "matplotlib.pyplot",
    "sklearn.datasets",
    "scipy.io",
    "cv2",
    "PIL.Image",
    "snakemake.iocontainers",
    "snakemake.logging",
    "gradmix.config",
    "gradmix.training.run",
    "gradmix.training.launch",
    "gradmix.training.predict",
    "gradmix.nets.convnet",
    "gradmix.terms.cross_entropy",
    "gradmix.mixing.gradmix",
    "gradmix.results.report",
    "gradmix.results.tables",
    "gradmix.domains.files.prepare",
    "gradmix.domains.prepare",
)


def prepare() -> None:
    """Import once what cases would import one by one."""
    import matplotlib
    import torch

    matplotlib.use("agg")
    torch.set_num_threads(1)
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])  # imports torch's compiler
    for name in IMPORTED:
        importlib.import_module(name)
    # Threads of a library do not live on in a forked process.
    importlib.import_module("cv2").setNumThreads(0)


def slowness() -> float:
    """How much slower than usual this machine is now; time limits grow with it."""
    import sys

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))
    from time_limit import measured_slowness

    return 2 * measured_slowness()


def table(kinds: Sequence[Kind], ended: Sequence[Ended], skipped: Mapping[str, str]) -> str:
    """A row per class, in Markdown."""
    counts = Counter((one.kind, one.verdict) for one in ended)
    lines = [
        f"| class | tried | {' | '.join(COLUMNS)} |",
        f"| --- | {' | '.join(['---:'] * (len(COLUMNS) + 1))} |",
    ]
    rows = [kind.name for kind in kinds if any(one.kind == kind.name for one in ended)]
    for name in rows:
        numbers = [counts[name, column] for column in COLUMNS]
        lines.append(f"| {name} | {sum(numbers)} | {' | '.join(map(str, numbers))} |")
    for name, why in skipped.items():
        lines.append(f"| {name} | skipped: {why} |{' |' * len(COLUMNS)}")
    totals = [sum(counts[name, column] for name in rows) for column in COLUMNS]
    lines.append(f"| **all** | {sum(totals)} | {' | '.join(map(str, totals))} |")
    return "\n".join(lines)


def write(
    path: Path,
    kinds: Sequence[Kind],
    ended: Sequence[Ended],
    skipped: Mapping[str, str],
    chosen: Mapping[str, Any],
    seconds: float,
) -> None:
    """Write the page: what was run on what, the table, and what each class does."""
    numbers = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    classes = f" --classes {' '.join(chosen['classes'])}" if chosen["classes"] else ""
    command = (
        f"python -m tests.faults --minutes {chosen['minutes']:g} --seed {chosen['seed']}{classes}"
    )
    tried = Counter(one.kind for one in ended)
    says = [f"- **{kind.name}**: {kind.says}" for kind in kinds if tried[kind.name]]
    bad = [one for one in ended if one.verdict in (UNCLEAR, LOST, WRONG)]
    cases = "".join(f"\n- `--only {one.kind}:{one.seed}`: {one.verdict}" for one in bad)
    failed = f"\n## Cases that did not end well\n{cases}\n" if bad else ""
    one_line = {
        "hardware": in_words(hardware()),
        "versions": f"python {platform.python_version()}, {numbers}",
        "run": f"{len(ended)} cases in {seconds / 60:.0f} minutes, {chosen['processes']} at a time",
    }
    table_of_all = table(kinds, ended, skipped)
    classes = "\n".join(says)
    write_text(
        path,
        PAGE.format(
            command=command, table=table_of_all, classes=classes, failed=failed, **one_line
        ),
    )
