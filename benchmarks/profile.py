"""Where the processor's or the GPU's time goes in a digits step: torch's profiler, the top operations and a trace.

    python -m benchmarks --only profile

Writes a Chrome trace of the steps (open it at ui.perfetto.dev) to `build/benchmarks/`, which git ignores; the record
keeps the operations that take most of the time by themselves.
"""

import gzip
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.cases import CASES, TINY
from benchmarks.measuring import significant
from benchmarks.variants import mixed

TRACES = Path("build/benchmarks")
STEPS, TOP = 5, 15


def measure(device: str = "cpu", quick: bool = False) -> dict[str, Any]:
    """The top operations by their own time, per step."""
    case = (TINY["mlp-2"] if quick else CASES["digits-2"])(device)
    step = mixed(case)
    for _ in range(3):
        step()
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.startswith("cuda"):
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(STEPS):
            step()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
    path = TRACES / f"digits-step-{device}.json.gz"
    _write_trace(profiler, path)
    own = "self_device_time_total" if device.startswith("cuda") else "self_cpu_time_total"
    averages = sorted(profiler.key_averages(), key=lambda e: -getattr(e, own))
    total = sum(getattr(event, own) for event in averages)
    rows = [
        {
            "operation": event.key,
            "own_ms": significant(getattr(event, own) / 1000 / STEPS),
            "share": significant(getattr(event, own) / total, 3),
            "calls": significant(event.count / STEPS, 3),
        }
        for event in averages[:TOP]
    ]
    return {
        "case": case.name,
        "n": STEPS,
        "own_ms_of_all": significant(total / 1000 / STEPS),
        "operations": len(averages),
        "trace": str(path),
        "rows": rows,
    }


def _write_trace(profiler: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "trace.json")
        profiler.export_chrome_trace(str(plain))
        path.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
