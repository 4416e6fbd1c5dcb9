"""What comparing hashes costs: a domain opened, its split proved, a checkpoint hashed, images read whole.

python -m benchmarks.checks [--images 60000] [--repeats 9]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import torch

from gradmix.domains.format import open_domain, write_domain
from gradmix.files import sha256_of_tensors
from gradmix.splits import check_split, make_split

SIDE, CLASSES = 32, 10
CHECKPOINT = 3 * 44_775_388  # ResNet-18's bytes: weights, momentum and the best weights so far


def main() -> None:
    """Print a line for each check: median of processor time, smallest and largest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, options.images)
        domain = open_domain(folder)
        split = make_split(
            domain, None, {}, labels_per_class=5, draw=0, seed=0,
            hyper_validation_per_class=50, test_per_class=1000,
        )  # fmt: skip
        checkpoint = {"all": torch.randn(CHECKPOINT // 4)}
        gigabytes = (folder / "images.npy").stat().st_size / 1e9
        checks: dict[str, Callable[[], object]] = {
            f"open {options.images:,} images": lambda: open_domain(folder),
            f"with their content ({gigabytes:.2f} GB)": lambda: open_domain(
                folder, check_content=True
            ),
            "prove a split of them": lambda: check_split(split, domain),
            f"hash a checkpoint ({CHECKPOINT / 1e9:.2f} GB)": lambda: sha256_of_tensors(checkpoint),
        }
        for what, check in checks.items():
            times = sorted(_milliseconds(check) for _ in range(options.repeats))
            print(
                f"{what}: {median(times):.1f} ms ({times[0]:.1f}-{times[-1]:.1f}), n = {len(times)}"
            )


def _milliseconds(check: Callable[[], object]) -> float:
    start = time.process_time()
    check()
    return 1e3 * (time.process_time() - start)


def _write(folder: Path, count: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.arange(count) % CLASSES
    empty = {"group": "", "clip": ""}
    names = {"class_name": labels.astype(str), "original": [f"{row}.png" for row in range(count)]}
    index = pd.DataFrame({"label": labels, **names, **empty})
    info = {"name": "d", "origin": "arrays", "label_space": "s", "classes": list("0123456789")}
    write_domain(folder, images, index, info)


if __name__ == "__main__":
    main()
