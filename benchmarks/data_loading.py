"""How long training waits for its images, and whether its memory grows with their number.

    python -m benchmarks.data_loading [--steps 8] [--record]

Two domains of frames, 128 x 128, one with ten times the clips of the other, on disk in the project's format. A
process of its own per row trains ResNet-18 by the project's loop (GradMix, two sources and V, batches of 16, crops of
64 x 64, mirrored) on one CPU thread, once with the files in the operating system's cache and once after they were
dropped from it. Waiting is the time until the loop has its next batch, which a thread gathers from the memory map;
making parts of images into the network's input is counted beside it. Memory is the largest anonymous part (what the
process itself holds); pages of the mapped files, which the operating system takes back whenever it wants, are shown
apart. Preparing is the extraction of real clips, with one and ten times as many.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measuring import Nowhere, machine
from gradmix.domains.format import open_domain, write_domain

CLIPS, FRAMES, SIZE, CROP, CLASSES = 200, 10, 128, 64, 10


class Peak(threading.Thread):
    """Watches the process's memory, in MB: anonymous pages, and pages of mapped files."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.anonymous = self.mapped = 0.0
        self.done = threading.Event()

    def run(self) -> None:
        """Look a hundred times a second."""
        while not self.done.wait(0.01):
            status = dict(
                line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines()
            )
            self.anonymous = max(self.anonymous, int(status["RssAnon"].split()[0]) / 1024)
            self.mapped = max(self.mapped, int(status["RssFile"].split()[0]) / 1024)


def write_frames(folder: Path, name: str, clips: int) -> None:
    """A domain of noise: only its size matters here."""
    random = np.random.default_rng(len(name))
    count = clips * FRAMES
    labels = np.arange(count) // FRAMES % CLASSES
    names = [f"clip{row // FRAMES}" for row in range(count)]
    index = pd.DataFrame({"label": labels, "class_name": labels.astype(str), "clip": names})
    index["group"] = index["original"] = ""
    chunks = (
        random.integers(0, 256, (FRAMES, SIZE, SIZE, 3), dtype=np.uint8) for _ in range(clips)
    )
    classes = [str(label) for label in range(CLASSES)]
    info = {"name": name, "origin": "noise", "label_space": "noise", "classes": classes}
    write_domain(folder / name, chunks, index, info)


def drop_from_cache(folder: Path) -> None:
    """The operating system forgets the files' pages."""
    for path in folder.rglob("*.npy"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def training(folder: Path, steps: int) -> dict[str, float]:
    """Train for some steps; seconds of a step, the share of waiting, and memory."""
    import torch

    from gradmix import GradMix, layers_of
    from gradmix.methods.method import Stream
    from gradmix.nets import inputs
    from gradmix.nets.build import build_network
    from gradmix.terms.cross_entropy import CrossEntropy
    from gradmix.training import alone
    from gradmix.training.alone import Alone
    from gradmix.training.batches import gathered
    from gradmix.training.curves import Curves
    from gradmix.training.data import ImageSet, LoadedStream
    from gradmix.training.images import located_images
    from gradmix.training.samplers import Shuffled
    from gradmix.training.settings import Schedule
    from gradmix.training.state import RunState

    torch.set_num_threads(1)
    device = torch.device("cpu")
    spent = {"wait": 0.0, "input": 0.0}

    def timed(name: str, function: Any) -> Any:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            result = function(*arguments, **options)
            spent[name] += time.perf_counter() - started
            return result

        return wrapped

    streams = []
    for name, role in (("S1", "source"), ("S2", "source"), ("V", "guide")):
        domain = open_domain(folder / name)
        images, rows = located_images(domain, np.arange(len(domain)), device)
        labels = torch.from_numpy(np.array(domain.labels))
        these = ImageSet(name, images, labels, "noise", name, rows)
        stream = Stream("V" if name == "V" else "sources", role=role)
        streams.append(LoadedStream(stream, these, Shuffled(torch.arange(len(these)), 16, 0), name))
    network = build_network(
        {"name": "resnet18"}, {"noise": CLASSES}, {"height": CROP, "width": CROP}, [], seed=0
    ).to(memory_format=torch.channels_last)
    mixer = GradMix(layers_of(network.backbone), source_names=["S1", "S2"], rho="scaled")
    run = RunState(
        network=network,
        mixer=mixer,
        streams=streams,
        terms=[CrossEntropy()] * 3,
        validation=streams[-1].set,
        schedule=Schedule("sgd", steps, steps, 0.01, 0.9, flip=True),
        curves=Curves(["S1", "S2", "V"], [layer.name for layer in mixer.layers], ["S1", "S2"]),
        store=Nowhere(),
    )
    step = Alone([run])
    alone.training_input = timed("input", inputs.training_input)  # type: ignore[attr-defined]

    def interval(count: int) -> None:
        """The loop's way through an interval, without the look at H."""
        rows, labels, factors = zip(*(each.draw(count, 0) for each in step.batches), strict=True)
        batches = gathered(step.batches, rows, count)
        fetch = timed("wait", lambda: next(batches))
        for number in range(count):
            step(fetch(), [labels_TMB[number] for labels_TMB in labels], factors)
        step.check()

    interval(2)  # warms up
    spent.update(wait=0.0, input=0.0)
    watch = Peak()
    watch.start()
    started = time.perf_counter()
    interval(steps)
    seconds = time.perf_counter() - started
    watch.done.set()
    return {
        "step_ms": round(1000 * seconds / steps, 1),
        "waiting_percent": round(100 * spent["wait"] / seconds, 2),
        "input_percent": round(100 * spent["input"] / seconds, 2),
        "anonymous_mb": round(watch.anonymous),
        "mapped_mb": round(watch.mapped),
    }


def preparing(folder: Path, clips: Path, times: int) -> dict[str, float]:
    """Extract real clips, each under several names; seconds and memory of the process that writes."""
    from gradmix.domains.files import clip_folder
    from gradmix.domains.files.prepare import prepare_files

    many = folder / f"clips{times}"
    for copy in range(times):
        for path in sorted(clips.rglob("*.avi")):
            link = many / path.parent.name / f"{copy}-{path.name}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    settings = {"origin": "clip_folder", "folder": str(many), "frames_per_clip": FRAMES}
    settings |= {"label_space": "real", "most_left_out": 0.0, "resize": "cover"}
    watch = Peak()
    watch.start()
    started = time.perf_counter()
    prepare_files(
        "real", settings, None, (SIZE, SIZE), folder, folder / f"real{times}", "",
        origin=clip_folder, processes=2,
    )  # fmt: skip
    watch.done.set()
    return {
        "clips": open_domain(folder / f"real{times}").info["files"],
        "seconds": round(time.perf_counter() - started, 1),
        "anonymous_mb": round(watch.anonymous),
        "mapped_mb": round(watch.mapped),
    }


def in_its_own_process(*arguments: str) -> dict[str, Any]:
    """A row, measured by this file in a process that has done nothing else."""
    command = [sys.executable, "-m", "benchmarks.data_loading", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def measure(
    quick: bool = False,
    steps: int = 8,
    clips: Path | None = None,
    times: tuple[int, ...] = (1,),
) -> dict[str, Any]:
    """Rows of training with warm and with cold files, ``times`` the clips; and of preparing, where there are clips."""
    steps = 1 if quick else steps
    result: dict[str, Any] = {"steps": steps, "training": [], "preparing": []}
    with tempfile.TemporaryDirectory() as root:
        for factor in times:
            count = 20 if quick else CLIPS * factor
            folder = Path(root, f"domains{factor}")
            for name in ("S1", "S2", "V"):
                write_frames(folder, name, count)
            for cache in ("warm", "cold"):
                if cache == "cold":
                    drop_from_cache(folder)
                row = in_its_own_process("--one", "training", str(folder), str(steps))
                size = sum(path.stat().st_size for path in folder.rglob("*.npy"))
                kept = {"clips": 3 * count, "files_mb": round(size / 2**20), "cache": cache}
                result["training"].append(kept | row)
                print(kept | row)
        for factor in (20, 200) if clips else ():
            row = in_its_own_process("--one", "preparing", root, str(factor), "--clips", str(clips))
            result["preparing"].append(row)
            print(row)
    return result


def main() -> None:
    """Measure, print, and keep the record if asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--clips", type=Path, help="folder of real clips, for preparing")
    parser.add_argument("--record", action="store_true", help="write results/data_loading.json")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        what, folder, number = asked.one
        row = (
            training(Path(folder), int(number))
            if what == "training"
            else preparing(Path(folder), asked.clips, int(number))
        )
        print(json.dumps(row))
        return
    record = {
        "command": f"python -m benchmarks.data_loading --steps {asked.steps}",
        **machine(),
        **measure(steps=asked.steps, clips=asked.clips, times=(1, 10)),
    }
    if asked.record:
        path = Path(__file__).parent / "results" / "data_loading.json"
        path.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
