"""What a step of several ranks sends, and its time beside that of one process with the joined batches.

    python -m benchmarks.ranks [--steps 20] [--record]

The digit network with its 64 channels, GradMix with two sources and V (joined batches of 64, 64 and 16 images of
32 x 32), two gloo ranks of one CPU thread each. Blocks of steps take turns in the same two processes: one of them
with the joined batches while the other waits, both with half of each batch and their own batch statistics, both
with synchronised ones. What is sent is counted where torch is asked to send it. Processor time is one rank's; other
work on the machine disturbs it less than it does the clock's.
"""

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, multiprocessing
from torch.nn.functional import cross_entropy

from benchmarks.measuring import machine
from gradmix import ConvNet, GradMix, SynchronisedStatistics, layers_of

SIZES = {"digits_5_9": 64, "digits_0_4": 64, "V": 16}
RANKS, BLOCK = 2, 4


class Step:
    """A training step of one kind, with its own network."""

    def __init__(self, part: slice, *, grouped: bool, synchronised: bool) -> None:
        torch.manual_seed(0)
        network = ConvNet({"digits_5_9": 5, "digits_0_4": 5})
        self.network = network.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
        world = distributed.group.WORLD
        self.mixer = GradMix(layers_of(network.backbone), process_group=world if grouped else None)
        self.statistics: Callable[[], Any] = (
            (lambda: SynchronisedStatistics(world)) if synchronised else nullcontext
        )
        self.batches = [
            (
                torch.randn(size, 3, 32, 32)[part],
                torch.randint(5, (size,))[part],
                "digits_5_9" if name == "V" else name,
            )
            for name, size in SIZES.items()
        ]

    def __call__(self) -> None:
        """Take the step."""
        with self.statistics():
            losses = [cross_entropy(self.network(x, space), y) for x, y, space in self.batches]
        self.optimizer.zero_grad()
        self.mixer.backward(losses[:-1], losses[-1])
        self.mixer.step(self.optimizer)


def one_rank(rank: int, folder: str, steps: int) -> None:
    """One rank's part; rank 0 writes the record."""
    torch.set_num_threads(1)
    # One process among two ranks is meant here.
    warnings.filterwarnings("ignore", message="torch.distributed has several ranks")
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS
    )
    sent: list[int] = []
    plain = distributed.all_reduce

    def counted(tensor: Tensor, *arguments: Any, **options: Any) -> Any:
        sent.append(tensor.numel() * tensor.element_size())
        return plain(tensor, *arguments, **options)

    distributed.all_reduce = counted
    share = slice(rank, None, RANKS)
    kinds = {
        "one process": Step(slice(None), grouped=False, synchronised=False),
        "two ranks": Step(share, grouped=True, synchronised=False),
        "two ranks, synchronised statistics": Step(share, grouped=True, synchronised=True),
    }
    times: dict[str, list[float]] = {name: [] for name in kinds}
    worked: dict[str, list[float]] = {name: [] for name in kinds}
    traffic: dict[str, list[int]] = {}
    for block in range(1 + steps // BLOCK):
        for name, step in kinds.items():
            distributed.barrier()
            if name == "one process" and rank > 0:
                continue
            for _ in range(BLOCK):
                sent.clear()
                started = time.perf_counter(), time.process_time()
                step()
                if block:  # the first one warms up
                    times[name].append(time.perf_counter() - started[0])
                    worked[name].append(time.process_time() - started[1])
            traffic[name] = list(sent)
    if rank == 0:
        Path(folder, "measured.json").write_text(json.dumps(summary(kinds, times, worked, traffic)))
    distributed.barrier()
    distributed.destroy_process_group()


def summary(
    kinds: Mapping[str, Step],
    times: Mapping[str, list[float]],
    worked: Mapping[str, list[float]],
    traffic: Mapping[str, list[int]],
) -> dict[str, Any]:
    """A row per kind of step."""
    parameters = sum(p.numel() for p in kinds["one process"].network.parameters())
    one, alone = (statistics.median(values["one process"]) for values in (times, worked))
    rows = {
        name: {
            "step_ms": round(1000 * statistics.median(seconds), 1),
            "range_ms": [round(1000 * edge(seconds), 1) for edge in (min, max)],
            "time_to_one_process": round(statistics.median(seconds) / one, 2),
            "processor_ms": round(1000 * statistics.median(worked[name]), 1),
            "processor_to_one_process": round(statistics.median(worked[name]) / alone, 2),
            "all_reduces": len(traffic[name]),
            "bytes": sum(traffic[name]),
            "largest_bytes": max(traffic[name], default=0),
        }
        for name, seconds in times.items()
    }
    return {"parameters": parameters, "n": len(times["one process"]), "rows": rows}


def measure(quick: bool = False, steps: int = 24) -> dict[str, Any]:
    """Both processes' record."""
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(one_rank, (folder, BLOCK if quick else steps), nprocs=RANKS)
        measured: dict[str, Any] = json.loads(Path(folder, "measured.json").read_text())
    return measured


def main() -> None:
    """Measure, print, and keep the record if asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--record", action="store_true", help="write results/ranks.json")
    asked = parser.parse_args()
    measured = measure(steps=asked.steps)
    command = f"python -m benchmarks.ranks --steps {asked.steps}"
    record = {"command": command, **machine(), **measured}
    for name, row in record["rows"].items():
        print(name, row)
    if asked.record:
        path = Path(__file__).parent / "results" / "ranks.json"
        path.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
