"""Models x steps per second against the number of models that one GPU or one processor core trains.

    python -m benchmarks.packs [--device cuda] [--sizes 1 2 4] [--steps 10] [--repeats 5] [--record]

GradMix with two sources and V (batches of 64, 64 and 15 images of 32 x 32), through the project's own loop: one model
after the other ("loop"); packs of stacked models, which one call computes ("pack"). On a GPU two further ways are
measured, which the project does not use: a CUDA graph per model on streams, and several processes. At every size the
ways follow each other; the first interval of steps warms up. On a CPU a second is one of the processor's, which other
work on the machine changes less; on a GPU it is the clock's.
"""

import argparse
import json
import queue
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, multiprocessing
from torch.nn import functional

from benchmarks.measuring import Nowhere, machine
from gradmix.methods.method import Stream
from gradmix.mixing.gradmix import GradMix
from gradmix.mixing.layers import Layer, layers_of
from gradmix.nets.convnet import ConvNet
from gradmix.terms.cross_entropy import CrossEntropy
from gradmix.training.alone import Alone
from gradmix.training.curves import Curves
from gradmix.training.data import ImageSet, LoadedStream
from gradmix.training.loop import train
from gradmix.training.samplers import Shuffled, Whole
from gradmix.training.settings import Pace, Schedule
from gradmix.training.sgd import SGD
from gradmix.training.stacked import Stacked
from gradmix.training.stacked_network import StackedNetwork
from gradmix.training.state import RunState
from gradmix.training.step import MakeStep

CPU_SIZES = (1, 2, 4, 8, 16)
CUDA_SIZES = (1, 2, 4, 8, 16, 32, 54, 108, 216, 540)
LARGEST = {"loop": 1, "graphs on streams": 54, "processes": 8}
WIDTH = {"cpu": 16, "cuda": 64}
BATCH, GUIDES, IMAGES = 64, 15, 2000
_WAIT = 600.0


def measure(
    device: str,
    sizes: Sequence[int] | None = None,
    steps: int = 10,
    *,
    repeats: int = 5,
    width: int | None = None,
) -> dict[str, Any]:
    """Rates of every way at every size.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
        sizes: models at once; ``None``: 1 to 16 on a CPU, 1 to 540 on a GPU.
        steps: of an interval that is timed.
        repeats: intervals that count; one more warms up.
        width: channels of the network; ``None``: 16 on a CPU, the experiment's 64 on a GPU.

    Returns:
        ``rows``: how, models, models_steps_per_second (median), range and n; ``knee``: of the packs, the smallest
        size within 10 % of the best rate; and what was measured.
    """
    sizes = sizes or (CPU_SIZES if device == "cpu" else CUDA_SIZES)
    width = width or WIDTH[device]
    ways: dict[str, Callable[[int], list[float]]] = {
        "loop": lambda models: _loop(device, width, steps, repeats),
        "pack": lambda models: _pack(device, width, models, steps, repeats),
    }
    if device == "cuda":
        ways["graphs on streams"] = lambda models: _graphs(width, models, steps, repeats)
        ways["processes"] = lambda models: _processes(device, width, models, steps, repeats)
    rows = []
    for models in sizes:
        for how, way in ways.items():
            if models <= LARGEST.get(how, models):
                rows.append(_row(how, models, way))
                print(rows[-1], flush=True)
    return {
        "device": _name_of(device),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "width": width,
        "steps": steps,
        "rows": rows,
        "knee": knee(rows),
    }


def knee(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The smallest pack within 10 % of the best rate of all packs."""
    packs = [row for row in rows if row["how"].startswith("pack") and row["n"]]
    if not packs:
        return {}
    best = max(row["models_steps_per_second"] for row in packs)
    near = [row for row in packs if row["models_steps_per_second"] >= 0.9 * best]
    smallest = min(near, key=lambda row: row["models"])
    kept = {key: smallest[key] for key in ("how", "models", "models_steps_per_second")}
    return {**kept, "best": best}


def _row(how: str, models: int, way: Callable[[int], list[float]]) -> dict[str, Any]:
    try:
        rates = way(models)
    except (RuntimeError, queue.Empty) as error:  # out of memory is one, too; the other ways go on
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        text = str(error).partition("\n")[0] or type(error).__name__
        return {"how": how, "models": models, "n": 0, "error": text}
    return {
        "how": how,
        "models": models,
        "models_steps_per_second": round(statistics.median(rates), 2),
        "range": [round(min(rates), 2), round(max(rates), 2)],
        "n": len(rates),
    }


def _name_of(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


class _Clock:
    """Told of every interval's end; a small look at H is in the interval, too."""

    def __init__(self, device: str) -> None:
        self._now = time.process_time if device == "cpu" else time.perf_counter
        self._ends: list[float] = []

    def __call__(self, step: int, text: str) -> None:
        self._ends.append(self._now())

    def rates(self, models_steps: int) -> list[float]:
        """Of the intervals behind the first."""
        return [models_steps / (end - start) for start, end in pairwise(self._ends)]


def _loop(device: str, width: int, steps: int, repeats: int) -> list[float]:
    clock = _Clock(device)
    _train([_run(device, width, 0, steps, repeats)], Alone, clock)
    return clock.rates(steps)


def _pack(device: str, width: int, models: int, steps: int, repeats: int) -> list[float]:
    images: dict[str, Tensor] = {}
    clock = _Clock(device)
    runs = [_run(device, width, seed, steps, repeats, images) for seed in range(models)]
    _train(runs, Stacked, clock)
    return clock.rates(models * steps)


def _train(
    runs: Sequence[RunState], make_step: MakeStep, progress: Callable[[int, str], None]
) -> None:
    train(runs, make_step, log=_silent, progress=progress, pace=Pace(1e9))


def _processes(device: str, width: int, models: int, steps: int, repeats: int) -> list[float]:
    """As many processes as models, each with one; between two barriers all of them take the same steps."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(models, timeout=_WAIT), context.Queue()
    processes = [
        context.Process(
            target=_process, args=(device, width, steps, repeats, rank, barrier, answers)
        )
        for rank in range(models)
    ]
    for process in processes:
        process.start()
    rates: list[float] = answers.get(timeout=_WAIT)
    for process in processes:
        process.join()
    return rates


def _process(
    device: str, width: int, steps: int, repeats: int, rank: int, barrier: Any, answers: Any
) -> None:
    torch.set_num_threads(1)
    times: list[float] = []

    def meet(step: int, text: str) -> None:
        barrier.wait()
        times.append(time.perf_counter())

    _train([_run(device, width, rank, steps, repeats)], Alone, meet)
    if rank == 0:
        answers.put([barrier.parties * steps / (end - start) for start, end in pairwise(times)])


def _graphs(width: int, models: int, steps: int, repeats: int) -> list[float]:
    """CUDA only: every model's step a graph of its own, replayed on a stream of its own; no batches are drawn."""
    graphs = [_captured(width, seed) for seed in range(models)]
    rates = []
    for _ in range(repeats + 1):
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(steps):
            for graph, stream in graphs:
                with torch.cuda.stream(stream):
                    graph.replay()
        torch.cuda.synchronize()
        rates.append(models * steps / (time.perf_counter() - started))
    return rates[1:]


def _captured(width: int, seed: int) -> tuple[torch.cuda.CUDAGraph, torch.cuda.Stream]:
    step = one_step(_run("cuda", width, seed, 1, 1))
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph, stream=stream):
        step()
    return graph, stream


def one_step(run: RunState) -> Callable[[], None]:
    """A model's step on one batch that stays, without anything that waits for the device or reads a value."""
    network = StackedNetwork([run.network])
    network.module.train()
    mixer = run.mixer.stack([run.mixer], network.leaves)
    assert isinstance(run.optimizer, SGD)
    optimizer = SGD.stack([run.optimizer], network.parameters)
    batches = []
    for stream in run.streams:
        rows = stream.sampler.take(1)[0].to(run.validation.device)
        images = stream.set.take(rows).permute(0, 3, 1, 2).float().div(127.5).sub(1)
        batches.append((images[None], stream.set.labels[rows][None], stream.set.label_space))

    def step() -> None:
        losses = [
            network.each(
                lambda net, x, y, space=space: functional.cross_entropy(net(x, space), y), x, y
            )
            for x, y, space in batches
        ]
        optimizer.zero_grad()
        mixer.backward(losses[:-1], losses[-1])
        mixer.step(optimizer)

    return step


def _run(
    device: str,
    width: int,
    seed: int,
    steps: int,
    repeats: int,
    images: dict[str, Tensor] | None = None,
) -> RunState:
    """A run on images made up here, which the models of a pack share."""
    torch.manual_seed(seed)
    spaces = {"digits_5_9": 5, "digits_0_4": 5}
    network = ConvNet(spaces, width=width).to(device).to(memory_format=torch.channels_last)
    sets = [
        _images("S1", IMAGES, "digits_5_9", device, images),
        _images("S2", IMAGES, "digits_0_4", device, images),
        _images("V", GUIDES, "digits_5_9", device, images),
    ]
    streams = [
        LoadedStream(
            Stream("sources"), each, Shuffled(torch.arange(IMAGES), BATCH, seed), each.name
        )
        for each in sets[:2]
    ]
    streams.append(LoadedStream(Stream("V", role="guide"), sets[2], Whole(GUIDES), "V"))
    heads = [Layer(f"head {name}", tuple(network.heads.parameters_of(name))) for name in spaces]
    mixer = GradMix(layers_of(network.backbone), heads=heads, source_names=["S1", "S2"])
    return RunState(
        network=network,
        mixer=mixer,
        streams=streams,
        terms=[CrossEntropy() for _ in streams],
        validation=_images("H", 20, "digits_5_9", device, images),
        schedule=Schedule("sgd", steps * (repeats + 1), steps, 0.05, 0.9),
        curves=Curves(["S1", "S2", "V"], [layer.name for layer in mixer.layers], ["S1", "S2"]),
        store=Nowhere(),
    )


def _images(
    name: str, count: int, space: str, device: str, made: dict[str, Tensor] | None
) -> ImageSet:
    made = {} if made is None else made
    if name not in made:
        made[name] = torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8).to(device)
    labels = (torch.arange(count) % 5).to(device)
    return ImageSet(name, made[name], labels, space, name)


def _silent(*values: Any) -> None:
    pass


def main() -> None:
    """Measure, print, and keep the record if asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--sizes", type=int, nargs="+")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--width", type=int)
    parser.add_argument("--record", action="store_true", help="write results/packs.json")
    asked = parser.parse_args()
    if asked.device == "cpu":
        torch.set_num_threads(1)
    measured = measure(
        asked.device, asked.sizes, asked.steps, repeats=asked.repeats, width=asked.width
    )
    command = f"python -m benchmarks.packs --device {asked.device} --steps {asked.steps} --repeats {asked.repeats}"
    record = {"command": command, **machine(), **measured}
    print(json.dumps(record["knee"]))
    if asked.record:
        path = Path(__file__).parent / "results" / "packs.json"
        path.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
