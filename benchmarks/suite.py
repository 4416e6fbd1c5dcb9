"""All parts of the suite: which module measures each, and with what."""

import importlib
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import NotHereError
from benchmarks.record import add_part


@dataclass(frozen=True)
class Options:
    """What was asked for.

    Attributes:
        device: "cpu" or "cuda".
        quick: sizes at which a number means nothing, to see that everything runs.
        threads: of torch, on a CPU.
        clips: folder of real clips; None: the data folder.
        results: folder of an experiment's results, for the guide.
        slurm: start a SLURM on this machine for the overhead.
    """

    device: str = "cpu"
    quick: bool = False
    threads: int = 1
    clips: Path | None = None
    results: Path | None = None
    slurm: bool = False


@dataclass(frozen=True)
class Part:
    """A module with ``measure(...) -> dict``, the options that it takes, and the devices where it makes sense."""

    module: str
    takes: tuple[str, ...] = ("device", "quick")
    devices: tuple[str, ...] = ("cpu", "cuda")


_HOST = ("cpu",)
PARTS: dict[str, Part] = {
    "startup": Part("benchmarks.startup", ("repeats",), _HOST),
    "step": Part("benchmarks.step"),
    "scaling": Part("benchmarks.scaling"),
    "trials": Part("benchmarks.trials"),
    "profile": Part("benchmarks.profile"),
    "packs": Part("benchmarks.packs", ("device", "sizes", "steps")),
    "ranks": Part("benchmarks.ranks", ("quick",), _HOST),
    "solvers": Part("benchmarks.solvers"),
    "extraction": Part("benchmarks.extraction", ("clips", "quick"), _HOST),
    "data_loading": Part("benchmarks.data_loading", ("quick",), _HOST),
    "overhead": Part("benchmarks.overhead", ("quick", "slurm"), _HOST),
    "guide": Part("benchmarks.guide", ("results", "quick"), _HOST),
}
# What parts without a quick measurement of their own take: models of a pack and their steps, processes of a kind.
SIZES: dict[str, dict[str, Any]] = {
    "cpu": {"sizes": (1, 2, 4, 8), "steps": 10, "repeats": 3},
    "cuda": {"sizes": None, "steps": 10, "repeats": 3},
    "quick": {"sizes": (1, 2), "steps": 1, "repeats": 1},
}


def run(
    names: list[str],
    options: Options,
    folder: Path,
    hardware: dict[str, Any],
    versions: dict[str, str],
) -> bool:
    """Measure parts one after the other, each into the record as soon as it is done; whether none failed."""
    import torch

    # Once, not per part: what a part sets for itself is its own affair.
    torch.set_num_threads(options.threads)
    whole = True
    for name in names:
        print(f"== {name}", flush=True)
        part = measured(name, options)
        path = add_part(folder, hardware, versions, name, part)
        said = part.get("error") or part.get("missing") or ""
        print(f"== {name}: {part['status']} in {part['seconds']} s {said} -> {path}", flush=True)
        whole &= part["status"] != "failed"
    return whole


def measured(name: str, options: Options) -> dict[str, Any]:
    """A part of the record: measured, skipped or failed."""
    part = PARTS[name]
    command = f"python -m benchmarks --only {name} --device {options.device}"
    if options.quick:
        command += " --quick"
    begun: dict[str, Any] = {"command": command, "threads": options.threads}
    started = time.perf_counter()
    try:
        if options.device not in part.devices:
            raise NotHereError("is measured on the host only")
        module = _module(part.module)
        given = {**vars(options), **SIZES["quick" if options.quick else options.device]}
        result = module.measure(**{key: given[key] for key in part.takes})
        end: dict[str, Any] = {"status": "measured", "result": result}
    except NotHereError as error:
        end = {"status": "skipped", "missing": str(error)}
    except Exception as error:
        traceback.print_exc()
        # The last line says what went wrong; a child's whole traceback may stand before it.
        last = (str(error).strip().splitlines() or [""])[-1]
        end = {"status": "failed", "error": f"{type(error).__name__}: {last}"[:500]}
    seconds = round(time.perf_counter() - started, 1)
    return {"status": end.pop("status"), **begun, "seconds": seconds, **end}


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise NotHereError(f"no module {error.name}") from error
