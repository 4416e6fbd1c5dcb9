"""Time and mean cosine of the exact weights and of SLSQP, by numbers of layers L and of sources K.

    python -m benchmarks.solvers [--record] [--device cuda]

Each of the n problem sets is one training step: L layers of random gradients of P parameters, whose
common part makes some layers' sources agree with the target and others oppose it. All methods see the
same sets. Times are medians of a call for all L layers, after one call to warm up where n > 1: seconds
of one processor thread (on a GPU: of the wall clock). Joint SLSQP is stopped after two minutes of the wall
clock (marked *).

With many sources SLSQP takes too long. The reference there is scipy's non-negative least squares on the
vectors themselves, layer by layer, and no target opposes all sources (where its answer would be zero).
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.measuring import machine
from gradmix.mixing.solvers.cosine import cosines
from gradmix.mixing.solvers.exact import exact_weights
from gradmix.mixing.solvers.slsqp import slsqp_weights

LAYERS = (5, 21, 62)
SOURCES = (2, 3, 8)
MANY_SOURCES = (16, 64, 256)
LAYERS_OF_MANY = 21
PARAMETERS = 1000
LONGEST_SECONDS = 120.0
RESULT = Path(__file__).parent / "results" / "solvers.json"


@dataclass(frozen=True)
class ProblemSet:
    """Gram numbers of one step, and the vectors they come from."""

    sources_LDK: Tensor
    guide_LD: Tensor
    gram_LKK: Tensor
    target_LK: Tensor
    norm_L: Tensor


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    layers: int
    sources: int
    parameters: int
    method: str
    milliseconds: float
    mean_cosine: float
    n: int
    stopped: bool


def make_set(
    layers: int, sources: int, parameters: int, seed: int, device: str, agreeing: bool
) -> ProblemSet:
    """Random gradients whose common part has a random size and (unless agreeing) sign in the target."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    common_LD = normal(layers, parameters)
    sources_LDK = 0.5 * common_LD.unsqueeze(-1) + normal(layers, parameters, sources)
    sources_LDK *= 10.0 ** normal(layers, 1, sources)
    share_L1 = 0.5 * normal(layers, 1)
    share_L1 = share_L1.abs() if agreeing else share_L1
    guide_LD = share_L1 * common_LD + normal(layers, parameters)
    return ProblemSet(
        sources_LDK,
        guide_LD,
        (sources_LDK.mT @ sources_LDK).to(device),
        (sources_LDK.mT @ guide_LD.unsqueeze(-1)).squeeze(-1).to(device),
        guide_LD.norm(dim=-1).to(device),
    )


def solve_exactly(problems: ProblemSet) -> Tensor:
    """The default solver."""
    return exact_weights(problems.gram_LKK, problems.target_LK)


def solve_by_slsqp(problems: ProblemSet, joint: bool, seconds: float = LONGEST_SECONDS) -> Tensor:
    """The paper's solver."""
    return slsqp_weights(
        problems.gram_LKK,
        problems.target_LK,
        joint=joint,
        target_norm_L=problems.norm_L if joint else None,
        seconds=seconds,
    )


def solve_by_least_squares(problems: ProblemSet) -> Tensor:
    """NNLS of scipy on unit vectors, layer by layer (needs the gradients themselves)."""
    from scipy.optimize import nnls

    norm_LK = problems.sources_LDK.norm(dim=1)
    units_LDK = (problems.sources_LDK / norm_LK.unsqueeze(1)).numpy()
    guide_LD = problems.guide_LD.numpy()
    parts = [nnls(unit, guide)[0] for unit, guide in zip(units_LDK, guide_LD, strict=True)]
    return torch.from_numpy(np.stack(parts)) / norm_LK


def compare(
    layers: int,
    sources: int,
    parameters: int,
    n: int,
    methods: Mapping[str, Callable[[ProblemSet], Tensor]],
    device: str,
    agreeing: bool = False,
    longest: float = LONGEST_SECONDS,
) -> list[Row]:
    """All methods on the same n sets."""
    sets = [make_set(layers, sources, parameters, seed, device, agreeing) for seed in range(n)]
    # One thread's time on the processor, so that other work on the machine does not count.
    clock = time.perf_counter if device.startswith("cuda") else time.process_time
    rows = []
    for name, solve in methods.items():
        seconds: list[float] = []
        cosine: list[float] = []
        stopped = False
        if n > 1:
            solve(sets[0])
        # Repeated while it is cheap: other work on the machine disturbs single calls.
        while (
            len(seconds) < n
            or (len(seconds) < 5 and sum(seconds) < 5.0)
            or (len(seconds) < 100 and sum(seconds) < 0.2)
        ):
            problems = sets[len(seconds) % n]
            wall, begin = time.monotonic(), clock()
            weights_LK = solve(problems)
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            seconds.append(clock() - begin)
            stopped |= time.monotonic() - wall >= longest
            if len(cosine) < n:
                cosine.append(mean_cosine(problems, weights_LK))
        milliseconds = 1e3 * statistics.median(seconds)
        rows.append(
            Row(
                layers, sources, parameters, name, milliseconds, statistics.mean(cosine), n, stopped
            )
        )
        print(format_row(rows[-1], rows[0]), flush=True)
    return rows


def mean_cosine(problems: ProblemSet, weights_LK: Tensor) -> float:
    """Mean over the layers."""
    gram_LKK = problems.gram_LKK
    weights_LK = weights_LK.to(gram_LKK)
    return float(cosines(gram_LKK, problems.target_LK, problems.norm_L, weights_LK).mean())


def number_of_sets(variables: int) -> int:
    """Joint SLSQP's time grows with the cube of the number of its variables, L K."""
    return 20 if variables < 100 else 3 if variables < 150 else 2 if variables < 200 else 1


HEADER = "   L    K parameters  method                     ms per call  x exact  mean cosine - exact's    n"


def format_row(row: Row, exact: Row) -> str:
    """One line of the printed table; the exact row comes first in its case."""
    ratio = row.milliseconds / exact.milliseconds
    cosine = f"{row.mean_cosine:11.8f}"
    if row is not exact:
        cosine += f" {row.mean_cosine - exact.mean_cosine:+10.1e}"
    stopped = "*" if row.stopped else " "
    return (
        f"{row.layers:4d} {row.sources:4d} {row.parameters:10d}  {row.method:24s}"
        f" {row.milliseconds:13.3f}{stopped}{ratio:8.1f}  {cosine:22s} {row.n:4d}"
    )


def describe(device: str) -> dict[str, Any]:
    """Hardware and versions that the numbers belong to."""
    # A load above the number of cores means that other work disturbed this run.
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    return {**machine(device), "threads": torch.get_num_threads(), "load_average": load}


def measure(device: str = "cpu", quick: bool = False, longest: float = 10.0) -> dict[str, Any]:
    """All cases; a call of SLSQP is stopped after ``longest`` seconds."""
    rows: list[Row] = []
    methods: dict[str, Callable[[ProblemSet], Tensor]] = {
        "exact": solve_exactly,
        "SLSQP, layer by layer": partial(solve_by_slsqp, joint=False, seconds=longest),
        "SLSQP, joint": partial(solve_by_slsqp, joint=True, seconds=longest),
    }
    print(HEADER)
    for layers in LAYERS[:1] if quick else LAYERS:
        for sources in SOURCES[:2] if quick else SOURCES:
            n = 2 if quick else number_of_sets(layers * sources)
            rows += compare(layers, sources, PARAMETERS, n, methods, device, longest=longest)
    many = {"exact": solve_exactly, "NNLS, layer by layer": solve_by_least_squares}
    for sources in MANY_SOURCES[:1] if quick else MANY_SOURCES:
        # Fewer parameters than sources: a singular Gram matrix.
        for parameters in (sources // 2, 2 * sources):
            rows += compare(LAYERS_OF_MANY, sources, parameters, 2, many, device, True)
    return {"rows": [asdict(row) for row in rows]}


def main() -> None:
    """Print the table; write it as JSON when asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu", help="of the exact weights; SLSQP uses the CPU")
    parser.add_argument("--record", action="store_true", help=f"write {RESULT.name}")
    options = parser.parse_args()
    torch.set_num_threads(1)
    description = describe(options.device)
    print(", ".join(f"{key}: {value}" for key, value in description.items()))
    measured = measure(options.device, longest=LONGEST_SECONDS)
    if options.record:
        RESULT.parent.mkdir(exist_ok=True)
        record = {
            "command": "python -m benchmarks.solvers --record",
            "description": description,
            **measured,
        }
        RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
