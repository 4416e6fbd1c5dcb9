"""Every measurement of the project, for the device at hand, into one record; and the page that shows the records.

    python -m benchmarks [--only step,scaling] [--device cpu|cuda] [--quick]
    python -m benchmarks report

The record is `benchmarks/results/<hardware>.json`, written after every part; the report redraws the pictures in
`docs/performance/` and the tables in `docs/performance.md` from all records.
"""

import argparse
import os
import sys
from pathlib import Path

from benchmarks.measuring import hardware, in_words, versions
from benchmarks.record import RESULTS
from benchmarks.suite import PARTS, Options, run

QUICK_RESULTS = Path("build/benchmarks/results")


def main(arguments: list[str] | None = None) -> int:
    """Measure or report; 1 if a part failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="?", choices=("measure", "report"), default="measure")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    parser.add_argument("--threads", type=int, default=1, help="of torch, on a CPU")
    parser.add_argument("--quick", action="store_true", help=f"tiny sizes, into {QUICK_RESULTS}")
    parser.add_argument("--into", type=Path, help="folder of the records")
    parser.add_argument(
        "--page", type=Path, help="the page to rewrite; default docs/performance.md"
    )
    parser.add_argument("--clips", type=Path, help="folder of real clips")
    parser.add_argument("--results", type=Path, help="an experiment's results, for the guide")
    parser.add_argument("--slurm", action="store_true", help="overhead on a SLURM of its own, too")
    asked = parser.parse_args(arguments)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler tells about itself
    folder = asked.into or (QUICK_RESULTS if asked.quick else RESULTS)
    if asked.what == "report":
        from benchmarks.report import PAGE, write_report

        for path in write_report(folder, asked.page or PAGE):
            print(path)
        return 0
    names = asked.only.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"unknown part {unknown[0]!r}; known are {', '.join(PARTS)}")
    device = asked.device or _device()
    machine = hardware(device)
    print(in_words(machine))
    options = Options(device, asked.quick, asked.threads, asked.clips, asked.results, asked.slurm)
    return 0 if run(names, options, folder, machine, versions()) else 1


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


if __name__ == "__main__":
    sys.exit(main())
