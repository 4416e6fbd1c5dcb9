"""How the cost of mixing grows with sources, layers and parameters.

    python -m benchmarks --only scaling

Two measurements. A step: MLPs of equal layers; the mixer's own parts (Gram, solve, mixture, update) apart from the
passes through the network, and the whole step beside the limit of `benchmarks.step`. Weights: the solvers alone on the
same random Gram numbers, exact and SLSQP for all layers, TorchJD's weightings for the one Gramian of the whole network
that they are made for, and for a Gramian per layer. SLSQP is given up where a call takes more than `LONGEST_S`.
"""

import math
import os
import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.cases import mlp
from benchmarks.measuring import in_turns, ratios, significant, spread
from benchmarks.parts import one_step
from benchmarks.solvers import ProblemSet, make_set, solve_by_slsqp, solve_exactly
from benchmarks.variants import EXACT, LIMIT, TOGETHER, VARIANTS, limit, optimizer_of
from gradmix import GradMix, layers_of

MIXING = ("Gram", "solve", "mixture", "update")
WHOLE = {"whole step": EXACT, "whole step, together": TOGETHER}
LONGEST_S = 3.0
# Axis -> its values, and what stays. Batches are 16 a source.
AXES: dict[str, tuple[tuple[int, ...], dict[str, int]]] = {
    "sources": ((2, 4, 8, 16, 32, 64, 128, 256), {"layers": 5, "parameters": 100_000}),
    "layers": ((5, 10, 20, 50, 100, 200), {"sources": 3, "parameters": 1_000_000}),
    "parameters": ((10**4, 10**5, 10**6, 10**7, 10**8), {"sources": 3, "layers": 5}),
}
TINY: dict[str, tuple[tuple[int, ...], dict[str, int]]] = {
    "sources": ((2, 4), {"layers": 2, "parameters": 1000}),
    "layers": ((2, 4), {"sources": 2, "parameters": 2000}),
    "parameters": ((1000, 4000), {"sources": 2, "layers": 2}),
}


def measure(device: str = "cpu", quick: bool = False) -> dict[str, Any]:
    """Rows of both measurements."""
    steps: list[dict[str, Any]] = []
    weights: list[dict[str, Any]] = []
    rounds = 3 if quick else 5
    for axis, (values, fixed) in (TINY if quick else AXES).items():
        given_up: set[str] = set()
        for value in values:
            shape = {**fixed, axis: value}
            steps += step_rows(axis, shape, device, rounds)
            if axis != "parameters":  # solvers see Gram numbers only
                weights += weight_rows(axis, shape, device, rounds, given_up)
            print(
                axis,
                value,
                *(f"{r['part']} {r['ms']['median']:.3g}" for r in steps[-7:] if "ms" in r),
            )
    return {"steps": steps, "weights": weights}


def step_rows(axis: str, shape: dict[str, int], device: str, rounds: int) -> list[dict[str, Any]]:
    """A row per part of the mixer, one of its whole, and one of the whole step, with separate and joined passes."""
    need, room = _bytes_needed(shape), _bytes_free(device)
    if need > 0.6 * room:
        return [
            {"axis": axis, **shape, "part": part, "skipped": f"needs {need / 2**30:.0f} GiB"}
            for part in (*MIXING, "mixing", *WHOLE)
        ]
    # L equal layers of width w have L w^2 weights.
    width = max(2, round(math.sqrt(shape["parameters"] / shape["layers"])))
    make = mlp(shape["sources"], hidden=shape["layers"], width=width, inputs=width)
    case = make(device)
    mixer, optimizer = GradMix(layers_of(case.network.backbone), rho="scaled"), optimizer_of(case)
    one_step(case, mixer, optimizer)
    rounds_taken = [one_step(case, mixer, optimizer)[0] for _ in range(rounds)]
    rows = []
    for part in (*MIXING, "mixing"):
        members = MIXING if part == "mixing" else (part,)
        milliseconds = [1000 * sum(seconds[name] for name in members) for seconds in rounds_taken]
        rows.append({"axis": axis, **shape, "part": part, "ms": spread(milliseconds)})
    made = {LIMIT: limit(case)} | {name: VARIANTS[way](case) for name, way in WHOLE.items()}
    seconds = in_turns(made, rounds=rounds, device=device)
    for name in WHOLE:
        row = {"axis": axis, **shape, "part": name}
        row["ms"] = spread([1000 * value for value in seconds[name]])
        rows.append(row | {"to_limit": spread(ratios(seconds[name], seconds[LIMIT]))})
    return rows


def weight_rows(
    axis: str, shape: dict[str, int], device: str, rounds: int, given_up: set[str]
) -> list[dict[str, Any]]:
    """A row per solver; those in ``given_up`` are left out, and it grows."""
    layers, sources = shape["layers"], shape["sources"]
    # Enough numbers per gradient that no Gram matrix is singular.
    problems = make_set(layers, sources, 2 * sources + 50, 0, device, agreeing=False)
    solvers: dict[str, Callable[[], Any]] = {
        "GradMix, exact": lambda: solve_exactly(problems),
        "SLSQP, layer by layer": lambda: solve_by_slsqp(problems, False, LONGEST_S),
        "SLSQP, joint": lambda: solve_by_slsqp(problems, True, LONGEST_S),
        **_torchjd(problems),
    }
    made = {name: solve for name, solve in solvers.items() if name not in given_up}
    seconds = in_turns(made, rounds=rounds, device=device, longest_s=LONGEST_S)
    rows = []
    for name, values in seconds.items():
        if statistics.median(values) > LONGEST_S:
            given_up.add(name)
        row = {"axis": axis, "layers": layers, "sources": sources, "solver": name}
        row["ms"] = spread([1000 * value for value in values])
        row["gave_up"] = name in given_up
        row["to_exact"] = significant(
            statistics.median(values) / statistics.median(seconds["GradMix, exact"])
        )
        rows.append(row)
    return rows


def _torchjd(problems: ProblemSet) -> dict[str, Callable[[], Any]]:
    """Its weightings on the (K+1) x (K+1) Gramians, V's loss being one more objective; none where it is missing."""
    try:
        from torchjd.aggregation import MGDAWeighting, UPGradWeighting

        weightings = {"UPGrad": UPGradWeighting(), "MGDA": MGDAWeighting()}
    except ImportError:
        return {}
    gram_LRR = _with_target(problems)
    gram_RR = gram_LRR.sum(dim=0)

    def each(weighting: Callable[[Tensor], Tensor]) -> Callable[[], Any]:
        return lambda: [weighting(gram) for gram in gram_LRR]

    def whole(weighting: Callable[[Tensor], Tensor]) -> Callable[[], Any]:
        return lambda: weighting(gram_RR)

    peers: dict[str, Callable[[], Any]] = {}
    for name, weighting in weightings.items():
        peers[f"TorchJD {name}, whole network"] = whole(weighting)
        peers[f"TorchJD {name}, layer by layer"] = each(weighting)
    return peers


def _with_target(problems: ProblemSet) -> Tensor:
    """gram_LRR with the target's row and column last."""
    column_LK1 = problems.target_LK.unsqueeze(-1)
    corner_L11 = problems.norm_L.square()[:, None, None]
    upper = torch.cat([problems.gram_LKK, column_LK1], dim=2)
    lower = torch.cat([column_LK1.mT, corner_L11], dim=2)
    return torch.cat([upper, lower], dim=1)


def _bytes_needed(shape: dict[str, int]) -> int:
    # Rows as they come and side by side, parameters, momentum, a copy before the update, a layer in float64.
    rows = 2 * (shape["sources"] + 1) + 4 + 2 * (shape["sources"] + 1) / shape["layers"]
    return round(4 * shape["parameters"] * rows)


def _bytes_free(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info()[0]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
