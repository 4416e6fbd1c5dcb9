"""A method that tries several settings: the one whose network does best on H is the method's run."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gradmix.files import atomic_path, read_json, write_json
from gradmix.training.lock import abandoned, run_lock
from gradmix.training.select import rank

_PREFIX = "candidates-"


@contextmanager
def candidate_folder(store: Path, log: Callable[[str], None]) -> Iterator[Path]:
    """A temporary folder for the candidates' records; those that killed jobs left behind are removed.

    Args:
        store: folder that it is made in.
        log: gets a line if the file system has no locks.
    """
    store.mkdir(parents=True, exist_ok=True)
    for folder in store.glob(f"{_PREFIX}*"):
        if abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=store, prefix=_PREFIX) as name, run_lock(Path(name), log):
        yield Path(name)


def keep_best(folders: Mapping[str, Path], output: Path) -> str:
    """Write the record of the best candidate into ``output``, with what all of them reached on H.

    Args:
        folders: of the candidates' records, by name; of equally good ones the first is kept.
        output: folder of model.safetensors, curves.parquet and run.json.

    Returns:
        Name of the chosen candidate.
    """
    records = {name: read_json(folder / "run.json") for name, folder in folders.items()}
    best = rank(records)[0]
    tried = [
        {
            "name": name,
            "hyper_validation_accuracy": record["hyper_validation_accuracy"],
            "hyper_validation_loss": record["hyper_validation_loss"],
            "seconds": record["seconds"],
        }
        for name, record in records.items()
    ]
    output.mkdir(parents=True, exist_ok=True)
    for file in ("model.safetensors", "curves.parquet"):
        with atomic_path(output / file) as temporary:
            shutil.copyfile(folders[best] / file, temporary)
    write_json(output / "run.json", {**records[best], "candidate": best, "candidates": tried})
    return best
