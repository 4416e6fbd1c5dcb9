"""What every script has around its one call: a log file, errors with the message first, the checked configuration."""

import os
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

# The package beside this workflow, which Snakemake fingerprints, goes before an installed one.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

Log = Callable[[str], None]

# Under a scheduler that assigns GPUs its choice is left alone.
SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID", "OAR_JOB_ID", "FLUX_JOB_ID")
_held = ExitStack()  # what the process gives back at its end, however it ends


@contextmanager
def stage(snakemake: Any) -> Iterator[Log]:
    """Run a rule's work: what it yields writes a line to the rule's log file.

    An error is shown on stderr in one sentence and in full in the log file, and ends the process with status 1.
    What an attempt logged that was killed stands first in the log of the next.
    """
    path = Path(snakemake.log[0])
    job = ", ".join([snakemake.rule, *(f"{k}={v}" for k, v in snakemake.wildcards.items())])
    try:
        kept = _attempt(path)
        file = open(path, "ab", buffering=0)  # noqa: SIM115
    except OSError as error:
        print(f"error in {job}: {path} cannot be written: {error.strerror}", file=sys.stderr)
        raise SystemExit(1) from None
    with file:

        def log(line: str) -> None:
            with suppress(OSError):  # what is wrong with the disk, the work itself will say
                file.write(
                    f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n".encode(
                        errors="backslashreplace"
                    )
                )

        # Warnings belong into the log; on the terminal they would tear the progress bars.
        warnings.showwarning = lambda message, category, where, line, *_: log(
            f"{category.__name__}: {message} ({where}:{line})"
        )
        start = time.perf_counter()
        try:
            check_inputs(snakemake)
            yield log
        except Exception as error:
            from gradmix.errors import asked_for, out_of_memory, sentence_of

            what = sentence_of(error)
            if out_of_memory(error):
                what = (
                    f"out of memory{asked_for(error)}; raise resources.memory_mb, or let fewer jobs "
                    "run at once (--cores)"
                )
            log(f"error: {what}")
            log(traceback.format_exc())
            print(f"error in {job}: {what}\n(log: {path})", file=sys.stderr)
            kept.unlink(missing_ok=True)
            raise SystemExit(1) from None
        except BaseException as leaving:
            log(f"broken off: {leaving!r}")
            if isinstance(leaving, KeyboardInterrupt):
                raise SystemExit(130) from None  # the controller says it, without a traceback
            raise
        log(f"done in {time.perf_counter() - start:.1f} s")
    kept.unlink(missing_ok=True)


def check_inputs(snakemake: Any) -> None:
    """Compare what a job reads with the hashes that were written down: a manifest's files, and domains.

    Networks are compared where they are loaded, and images without ``verify: full`` by size and time stamp only.

    Raises:
        ValueError: names the file that is another one.
    """
    from gradmix.manifest import fault

    members_fault = partial(fault, content=True, without=".safetensors")
    full = snakemake.config.get("verify") == "full"
    for file in map(Path, dict.fromkeys(snakemake.input)):
        if file.name == "domain.json":
            from gradmix.domains.format import open_domain

            open_domain(file.parent, check_content=full)
        elif file.suffix == ".json" and "packs" in file.parts and (why := members_fault(file)):
            raise ValueError(
                f"{why} (told by {file}); delete it and start again, and it is made anew"
            )


def error_in(log: str) -> str:
    """The sentence with which a job ended, as its log file has it."""
    try:
        text = Path(log).read_text(encoding="utf-8")
    except OSError:
        return "ended before it began its log"
    said = re.findall(
        r"^[\d-]+ [\d:]+ error: (.*?)\n(?=[\d-]+ [\d:]+ )", text, re.DOTALL | re.MULTILINE
    )
    return (
        said[-1]
        if said
        else "ended without a word: killed from outside, perhaps for its memory or time; or the disk is full"
    )


def _attempt(path: Path) -> Path:
    """Begin a log; a second name for it, under which an attempt that is killed leaves it to the next.

    Snakemake deletes a rule's log before it tries the job again.
    """
    kept = path.with_name(f".{path.name}.attempt")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    earlier = kept.read_text(encoding="utf-8") if kept.exists() else ""
    path.write_text(earlier, encoding="utf-8")
    kept.unlink(missing_ok=True)
    with suppress(OSError):  # without hard links only the last attempt's log is kept
        os.link(path, kept)
    return kept


def experiment(snakemake: Any) -> Any:
    """The checked configuration, for what must not rerun a job when it changes: titles, device, data_dir."""
    from gradmix.config import load_config

    return load_config(snakemake.config)


def device(snakemake: Any, log: Log) -> str:
    """The configured device; where it may be a GPU of this machine, after a slot of one was taken.

    Other GPUs are out of sight then: ``cuda:0`` is the slot's. Called before CUDA is used.
    """
    config = experiment(snakemake)
    if config.device == "cpu" or any(name in os.environ for name in SCHEDULERS):
        return str(config.device)
    from gradmix.training.slots import gpu_slot, installed_gpus

    gpus = installed_gpus()
    if gpus:
        # Several GPUs are for training on them at once, so none of them is shared.
        several = snakemake.resources.get("gpu", 0)
        whole = several if several > 1 else 0
        slot = gpu_slot(gpus, config.resources.gpu_slots, whole=whole, log=log)
        names = ",".join(_held.enter_context(slot))
        os.environ["CUDA_VISIBLE_DEVICES"] = names
        log(f"GPU {names}")
    return str(config.device)


def folders(files: Iterable[str]) -> dict[str, Path]:
    """Folders by name, of files in them: ``results/domains/mnist/images.npy`` gives ``mnist``."""
    return {Path(file).parent.name: Path(file).parent for file in files}


def folder(files: Iterable[str]) -> Path:
    """The one folder that all these files lie in."""
    parents = {Path(file).parent for file in files}
    assert len(parents) == 1, parents
    return parents.pop()


def labels_per_class(snakemake: Any) -> int:
    """The job's k."""
    return int(snakemake.wildcards.labels_per_class)


def records(snakemake: Any, paper: str | None) -> Any:
    """What tables and report read alike: the records of all runs, and what they were made from."""
    from gradmix.manifest import files_in
    from gradmix.results.experiment import read_experiment

    return read_experiment(
        files_in(snakemake.input.metrics),
        files_in(snakemake.input.runs),
        snakemake.params.methods,
        conditions=snakemake.params.conditions,
        split_files=files_in(snakemake.input.splits),
        enlarged_files=files_in(snakemake.input.enlarged),
        domain_files=snakemake.input.domains,
        paper=paper,
        has_clips=snakemake.params.has_clips,
    )
