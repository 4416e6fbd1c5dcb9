"""What all measurements share: the hardware and versions, variants in turns, medians and spread."""

import gc
import os
import platform
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

DATA = "GRADMIX_DATA_DIR"
_PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "nlopt",
    "torchjd",
    "quadprog",
    "opencv-python-headless",
    "av",
    "torchcodec",
    "snakemake",
)
# Of the flags of a processor, those that decide how fast torch's kernels are.
_INSTRUCTIONS = ("avx512f", "avx2", "avx", "asimd")


class NotHereError(Exception):
    """A part cannot be measured here: a package, data or a device is missing. The message says which."""


def hardware(device: str = "cpu") -> dict[str, Any]:
    """What the numbers are measured on; ``device`` is "cpu" or "cuda"."""
    lines: list[str] = []
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(": ")[2] for line in lines if "model name" in line), "")
    flags = next((line.split() for line in lines if line.startswith(("flags", "Features"))), [])
    facts: dict[str, Any] = {
        "processor": model or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "virtual": "hypervisor" in flags,
        "instructions": next((name for name in _INSTRUCTIONS if name in flags), "unknown"),
        "device": "cpu",
    }
    if device.startswith("cuda"):
        import torch

        memory = torch.cuda.get_device_properties(0).total_memory
        facts |= {"device": torch.cuda.get_device_name(), "device_gib": round(memory / 2**30)}
    return facts


def versions() -> dict[str, str]:
    """Of Python, the packages that are measured, and FFmpeg."""
    numbers = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            numbers[name] = version(name)
        except PackageNotFoundError:
            numbers[name] = "not installed"
    if shutil.which("ffmpeg"):
        said = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True)
        numbers["ffmpeg"] = said.stdout.split()[2]
    return numbers


def machine(device: str = "cpu") -> dict[str, Any]:
    """Hardware and versions in one, as the records of single benchmarks hold them."""
    return {**hardware(device), "versions": versions()}


def slug(hardware: Mapping[str, Any]) -> str:
    """A file name for this hardware: "amd-epyc-2-cores-avx2", "nvidia-h200"."""
    name = hardware["device"]
    if name == "cpu":
        name = "{processor} {cores} cores {instructions}".format_map(hardware)
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def in_words(hardware: Mapping[str, Any]) -> str:
    """The hardware as a caption says it."""
    without = "" if hardware["instructions"].startswith("avx512") else " without AVX-512"
    kind = "virtual cores" if hardware["virtual"] else "cores"
    host = f"{hardware['cores']} {kind} of an {hardware['processor']}"
    if hardware["device"] != "cpu":
        return f"one {hardware['device']} ({hardware['device_gib']} GiB; host: {host})"
    return host + (without if hardware["instructions"].startswith("avx") else "")


def synchronise(device: str) -> None:
    """Wait for what was queued."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def in_turns(
    variants: Mapping[str, Callable[[], Any]],
    *,
    rounds: int,
    device: str = "cpu",
    longest_s: float = 60.0,
    shortest_s: float = 0.02,
) -> dict[str, list[float]]:
    """Seconds of a call of every variant, round by round, so that what else the machine does falls on all of them.

    Every variant is called once to warm up. Every round begins with another variant. A variant whose call takes less
    than ``shortest_s`` is called several times in its turn; one whose first call takes longer than ``longest_s``
    keeps that call as its only time.
    """
    calls: dict[str, int] = {}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for name, call in variants.items():
        once = _seconds(call, 1, device)
        if once > longest_s:
            seconds[name].append(once)
            continue
        if once < 1.0:  # the first call also pays for what is made once
            once = min(once, _seconds(call, 1, device))
        calls[name] = max(1, min(1000, round(shortest_s / max(once, 1e-9))))
    names = list(calls)
    for index in range(rounds):
        gc.collect()
        start = index % max(1, len(names))
        for name in names[start:] + names[:start]:
            seconds[name].append(_seconds(variants[name], calls[name], device))
    return seconds


def _seconds(call: Callable[[], Any], calls: int, device: str) -> float:
    gc.disable()
    try:
        synchronise(device)
        started = time.perf_counter()
        for _ in range(calls):
            call()
        synchronise(device)
        return (time.perf_counter() - started) / calls
    finally:
        gc.enable()


def spread(values: Sequence[float], digits: int = 4) -> dict[str, Any]:
    """Median, quartiles and n; ``digits`` significant ones."""
    quartiles = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values
    return {
        "median": significant(statistics.median(values), digits),
        "quartiles": [significant(quartiles[0], digits), significant(quartiles[-1], digits)],
        "n": len(values),
    }


def ratios(seconds: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Round by round; a variant that has a single time is compared with the median."""
    if len(seconds) != len(reference):
        return [value / statistics.median(reference) for value in seconds]
    return [value / other for value, other in zip(seconds, reference, strict=True)]


def significant(value: float, digits: int = 4) -> float:
    """Rounded, so that records do not pretend."""
    return float(f"{value:.{digits}g}")


def clips_here(folder: Path | None) -> list[Path]:
    """Real clips below ``folder`` (default: the data folder), or `NotHereError`."""
    from gradmix.domains.files.tree import is_kind, scan

    where = folder or (Path(os.environ[DATA]) if os.environ.get(DATA) else None)
    if where is None:
        raise NotHereError(f"no clips: give --clips FOLDER, or set {DATA}")
    hardware = [where / entry.path for entry in scan(where) if is_kind(entry.path, "clips")]
    if not hardware:
        raise NotHereError(f"no clips below {where}")
    return hardware


class Nowhere:
    """A store of a run that keeps nothing."""

    folder = Path()

    def save(self, tensors: Any, state: Any) -> None:
        """Let them go."""

    def load(self) -> None:
        """There is no checkpoint."""
