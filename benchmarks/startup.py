"""What stands before the work: imports, a training job up to its first step, opening a large domain, a dry run.

    python -m benchmarks.startup [--repeats 5] [--record]

Processes are measured in processor seconds (other work on the machine changes them less than the clock) and on the
clock, from before their start; each is the median of several. Bytecode is compiled, files are in the page cache.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import machine

ROOT = Path(__file__).resolve().parents[1]
IMAGES = 100_000
IMPORTS = {
    "nothing": "pass",
    "torch": "import torch",
    "snakemake's script start": "from snakemake import script",
    "configuration": "import gradmix.config",
    "a domain": "import gradmix.domains.format",
    "training": "import gradmix.training.run",
    "evaluation": "import gradmix.training.predict",
    "tables": "import gradmix.results.tables",
    "a figure": "import pandas; from gradmix.results.figures.style import message_figure; message_figure(str())",
}
# What the rule's script does, with the default network on embedded digits; tells when step 0 and step 1 are evaluated.
TRAINING = """
import json, sys, time
from pathlib import Path
from snakemake import script
from gradmix.config import load_config
call = json.load(sys.stdin)
config = load_config(call["config"])
from gradmix.training.launch import train_runs
from gradmix.training.job import Job, Run
folder = Path(call["folder"])
domains = {name: folder / name for name in call["domains"]}
job = Job(domains=domains, split=folder / "split.json", store=folder / "store", labels_per_class=5,
          draw=0, seed=0, code=str(time.time()), device="cpu")
told = {}
def log(line):
    if line.startswith("step "):
        told[line.split("/")[0]] = (time.process_time(), time.time())
train_runs([Run(config.method_settings("gradmix"), job, folder / f"run-{time.time()}")], log)
print(json.dumps(told))
"""
OPENING = """
import json, statistics, sys, time
from pathlib import Path
from gradmix.domains.format import open_domain
def milliseconds(work):
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)
folder = Path(sys.argv[1])
open_ = [milliseconds(lambda: open_domain(folder)) for _ in range(21)]
contents = milliseconds(lambda: open_domain(folder).column("content"))
print(json.dumps({"first_ms": open_[0], "median_ms": statistics.median(open_[1:]),
                  "with_contents_ms": contents}))
"""


def measure(repeats: int = 5) -> dict[str, Any]:
    """All rows; seconds unless a name says milliseconds.

    Args:
        repeats: processes of each kind, of which the medians are kept.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        return {
            "repeats": repeats,
            "imports": {
                name: _processes([sys.executable, "-c", code], repeats)
                for name, code in IMPORTS.items()
            },
            "training": training(folder / "training", repeats),
            "domain": opening(folder / "domain"),
            "dry_run": _processes(_dry_run(folder / "out"), repeats),
        }


def training(folder: Path, repeats: int) -> dict[str, Any]:
    """A job of the default experiment's GradMix, from before its process starts."""
    import yaml

    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    config["training"] |= {"steps": 2, "evaluate_every": 1}
    _make_digits(folder, config)
    call = {"config": config, "folder": str(folder), "domains": list(config["domains"])}
    seconds_by_name: dict[str, list[float]] = {}
    for _ in range(repeats):
        started = time.time()
        told = json.loads(_run([sys.executable, "-c", TRAINING], json.dumps(call)))
        for name, step in (("ready", "step 0"), ("first_step", "step 1")):
            processor, clock = told[step]
            seconds_by_name.setdefault(f"{name}_processor_s", []).append(processor)
            seconds_by_name.setdefault(f"{name}_wall_s", []).append(clock - started)
    return {name: round(statistics.median(values), 3) for name, values in seconds_by_name.items()}


def opening(folder: Path, images: int = IMAGES) -> dict[str, Any]:
    """A domain of 32 x 32 RGB images, opened in a process that has opened none before, and then again."""
    import pandas as pd

    from gradmix.domains.format import stream_domain

    random = np.random.default_rng(0)
    label_N = random.integers(0, 10, images)
    index = pd.DataFrame({"label": label_N, "class_name": label_N.astype(str)}).assign(
        group="", clip="", original=[f"{row:06d}.png" for row in range(images)]
    )
    classes = [str(label) for label in range(10)]
    info = {"name": "large", "origin": "arrays", "label_space": "digits", "classes": classes}
    chunks = (
        random.integers(0, 256, (min(1000, images - start), 32, 32, 3), np.uint8)
        for start in range(0, images, 1000)
    )
    stream_domain(folder, chunks, lambda: (index, info))
    told = json.loads(_run([sys.executable, "-c", OPENING, str(folder)]))
    return {"images": images, **{name: round(value, 2) for name, value in told.items()}}


def _make_digits(folder: Path, config: dict[str, Any]) -> None:
    """The default experiment's domains and its first split."""
    from gradmix.config import load_config
    from gradmix.domains.format import open_domain
    from gradmix.domains.prepare import prepare_domain
    from gradmix.domains.registry import origin_module
    from gradmix.files import write_json
    from gradmix.splits import make_split

    checked = load_config(config)
    for name in config["domains"]:
        domain = checked.domain_settings(name)
        prepare_domain(
            name, domain["settings"], domain["positions"], tuple(domain["image"]),
            checked.data_dir, folder / name, "benchmark", origin=origin_module(domain["settings"]),
        )  # fmt: skip
    opened = {name: open_domain(folder / name) for name in config["domains"]}
    settings = checked.split_settings()
    split = make_split(
        opened[settings["target"]], None, {name: opened[name] for name in settings["sources"]},
        labels_per_class=5, draw=0, seed=0,
        hyper_validation_per_class=settings["hyper_validation_per_class"],
        test_per_class=settings["test_per_class"],
    )  # fmt: skip
    write_json(folder / "split.json", split)


def _dry_run(output: Path) -> list[str]:
    snakemake = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules"]
    return [*snakemake, "--config", f"output_dir={output}"]


def _processes(command: list[str], repeats: int) -> dict[str, float]:
    """Medians of a command's processor seconds and of its seconds on the clock."""
    processor, wall = [], []
    for _ in range(repeats):
        before, started = _children(), time.monotonic()
        _run(command)
        wall.append(time.monotonic() - started)
        processor.append(_children() - before)
    return {
        "processor_s": round(statistics.median(processor), 3),
        "wall_s": round(statistics.median(wall), 3),
    }


def _run(command: list[str], given: str = "") -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command, cwd=ROOT, input=given, capture_output=True, text=True,
        env=environment | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-3000:])
    return done.stdout


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure, print, and keep the record if asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="processes of each kind")
    parser.add_argument("--record", action="store_true", help="write results/startup.json")
    asked = parser.parse_args()
    record = {
        "command": f"python -m benchmarks.startup --repeats {asked.repeats}",
        **machine(),
        "torch": version("torch"),
        "snakemake": version("snakemake"),
        **measure(asked.repeats),
    }
    print(json.dumps(record, indent=2))
    if asked.record:
        path = ROOT / "benchmarks" / "results" / "startup.json"
        path.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
