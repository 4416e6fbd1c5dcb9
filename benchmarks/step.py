"""What a training step costs beside the least that it can cost, beside plain training and beside its peers.

    python -m benchmarks --only step

The limit is one forward and backward pass over all images of the step, V's included, as one joined batch, without an
optimizer's step. All variants take whole steps on the same network and images, in turns, round by round; a ratio is of
two times of one round. TorchJD's aggregators take every case in the fastest of its ways, which are tried first.
Peak memory (`benchmarks.memory`) is of one step and counted in gradients of the whole network above plain training on
the sources, and above plain training on the sources and V.
"""

import statistics
from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks import variants as steps
from benchmarks.cases import CASES, TINY, Case, Maker
from benchmarks.measuring import in_turns, ratios, significant, spread
from benchmarks.memory import peak_bytes
from benchmarks.parts import PARTS, one_step
from benchmarks.variants import (
    EXACT,
    LIMIT,
    PLAIN,
    SAME_IMAGES,
    TOGETHER,
    VARIANTS,
    make_variants,
    optimizer_of,
)
from gradmix import GradMix, layers_of

ROUNDS = {"digits": 11, "resnet64": 5, "resnet224": 5, "mlp": 5}
# What a heavy case is measured with: what solvers and peers cost, the smaller images of the same network say.
LIGHT = (LIMIT, SAME_IMAGES, PLAIN, EXACT, TOGETHER)
LONGEST_S = 15.0
ABOVE = {PLAIN: "gradients_above_plain", SAME_IMAGES: "gradients_above_same_images"}
WAYS: dict[str, dict[str, Any]] = {
    "one joined pass, one objective at a time": {"joined": True, "chunk": 1},
    "a pass each, one objective at a time": {"joined": False, "chunk": 1},
    "one joined pass, all objectives at once": {"joined": True, "chunk": None},
}


def measure(device: str = "cpu", quick: bool = False) -> dict[str, Any]:
    """A row per case and variant, the parts of GradMix's step per case."""
    cases: Mapping[str, Maker] = TINY if quick else CASES
    rows: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    missing: list[str] = []
    for key, make in cases.items():
        rounds = 3 if quick else ROUNDS[key.partition("-")[0]]
        case = make(device)
        rows += compare(case, rounds)
        if not case.heavy:
            its_parts, missing = parts_of(case, rounds)
            parts += its_parts
        print("\n".join(in_a_line(row) for row in rows if row["case"] == case.name), flush=True)
    return {"rows": rows, "parts": parts, "points_not_found": missing}


def compare(case: Case, rounds: int) -> list[dict[str, Any]]:
    """A row per variant; one that cannot be measured here says why."""
    wanted, ways = with_fastest_torchjd(case)
    if case.heavy:
        wanted = {name: wanted[name] for name in LIGHT}
    made, skipped = make_variants(case, wanted)
    seconds = in_turns(made, rounds=rounds, device=case.device, longest_s=LONGEST_S)
    peaks = {
        name: peak_bytes(step, case)
        for name, step in made.items()
        if statistics.median(seconds[name]) < LONGEST_S
    }
    rows = []
    for name in wanted:
        row: dict[str, Any] = {"case": case.name, "variant": name, "goal": case.goal}
        row |= {"sources": len(case.sources), "parameters": steps.parameters_of(case.network)}
        if name in skipped:
            rows.append(row | {"skipped": skipped[name]})
            continue
        row["ms"] = spread([1000 * value for value in seconds[name]])
        row["to_limit"] = spread(ratios(seconds[name], seconds[LIMIT]))
        if name in peaks:
            row["peak_mb"] = significant(peaks[name] / 2**20)
            for other, column in ABOVE.items():
                if other not in peaks:
                    continue
                row[column] = round((peaks[name] - peaks[other]) / case.gradient_bytes, 2)
        if name in ways:
            row["way"] = ways[name]
        rows.append(row)
    return rows


def with_fastest_torchjd(case: Case) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """`VARIANTS` with TorchJD's by the way that is the fastest on this case, and milliseconds of all ways."""
    wanted = dict(VARIANTS)
    if case.heavy:
        return wanted, {}
    tried = {name: partial(steps.torchjd, aggregator="MGDA", **way) for name, way in WAYS.items()}
    made, _ = make_variants(case, tried)
    if not made:
        return wanted, {}
    seconds = {
        name: min(values)
        for name, values in in_turns(made, rounds=1, device=case.device, longest_s=5.0).items()
    }
    best = min(seconds, key=seconds.__getitem__)
    answer = {"taken": best, "ms": {name: significant(1000 * s, 3) for name, s in seconds.items()}}
    names = {"TorchJD UPGrad": "UPGrad", "TorchJD MGDA": "MGDA"}
    for name, aggregator in names.items():
        wanted[name] = partial(steps.torchjd, aggregator=aggregator, **WAYS[best])
    return wanted, dict.fromkeys(names, answer)


def parts_of(case: Case, rounds: int) -> tuple[list[dict[str, Any]], list[str]]:
    """A row per part of GradMix's step, with separate passes and with a joined one; the points that were not measured.

    In ms and as a share of the step; parts that a way does not have are left out.
    """
    mixer = GradMix(layers_of(case.network.backbone), rho="scaled")
    optimizer = optimizer_of(case)
    rows = []
    for name, together in ((case.name, False), (f"{case.name}, together", True)):
        one_step(case, mixer, optimizer, together=together)
        measured, missing = zip(
            *(one_step(case, mixer, optimizer, together=together) for _ in range(rounds)),
            strict=True,
        )
        wholes = [sum(seconds.values()) for seconds in measured]
        for part in PARTS:
            if not any(seconds[part] for seconds in measured):
                continue
            row: dict[str, Any] = {"case": name, "part": part}
            row["ms"] = spread([1000 * seconds[part] for seconds in measured])
            shares = [s[part] / whole for s, whole in zip(measured, wholes, strict=True)]
            rows.append(row | {"share": spread(shares)})
    return rows, missing[0]


def in_a_line(row: Mapping[str, Any]) -> str:
    """A row as it is printed."""
    start = f"{row['case']:24s} {row['variant']:46s}"
    if "skipped" in row:
        return f"{start} not measured: {row['skipped']}"
    low, high = row["to_limit"]["quartiles"]
    memory = f"{row['gradients_above_plain']:+7.2f}" if "gradients_above_plain" in row else ""
    return (
        f"{start} {row['ms']['median']:10.2f} ms {row['to_limit']['median']:7.3f} "
        f"({low:.3f}-{high:.3f}) {memory}"
    )
