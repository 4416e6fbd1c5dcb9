"""A miniature experiment in a copy of the workflow, run by Snakemake for real."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sklearn.datasets import load_digits
from time_limit import run_limited

from gradmix.methods.recipes import METHODS as ALL_METHODS
from gradmix.methods.recipes import recipe_of
from gradmix.nets.registry import NETWORKS

# One or two of each kind: a job starts a process, and every method is trained in tests/methods.
METHODS = (
    "target_only",
    "target_only_mixmatch",
    "source_only",
    "best_single_source",
    "pooled",
    "fixed_weights",
    "fine_tune",
    "gradmix_sgd",
    "gradmix_fixed_rate",
    "gradmix",
    "dctn",
    "gradmix_soft",
    "gradmix_hard",
    "gradmix_mixmatch",
    "guided_sum",
    "guided_sum_hard",
    "guarded_sum",
)
# Those that the digit network serves.
DIGIT_METHODS = [
    method
    for method in ALL_METHODS
    if set(recipe_of(method).network) <= set(NETWORKS["convnet"].options)
]
# A rerun shows in the jobs what it did where each does one thing.
PACKS_OF_ONE = {"draws_per_job": 1, "methods_per_evaluation": 1, "figures_per_job": 1}
PARTS = ("Snakefile", "rules", "workflow_scripts", "gradmix", "config", "profiles", "envs")


@dataclass(frozen=True)
class Job:
    """A job that Snakemake ran or would run."""

    rule: str
    wildcards: str

    def __str__(self) -> str:
        return f"{self.rule}[{self.wildcards}]" if self.wildcards else self.rule


@dataclass(frozen=True)
class Done:
    """What a run of Snakemake left."""

    status: int
    text: str
    jobs: tuple[Job, ...]

    def rules(self) -> set[str]:
        """Names of the rules that had a job; the target rule is none."""
        return {job.rule for job in self.jobs} - {"all"}

    def of(self, rule: str) -> set[str]:
        """Wildcards of a rule's jobs."""
        return {job.wildcards for job in self.jobs if job.rule == rule}


@dataclass(frozen=True)
class Workflow:
    """A copy of the workflow and the package, with its own working directory."""

    folder: Path

    def run(self, *options: str, **config: Any) -> Done:
        """Run Snakemake with these keys over ``mini.yaml``; logs of failed jobs are in ``text``."""
        command = _command(options, config)
        done = run_limited(command, seconds=540, cwd=self.folder, env=_environment())
        text = done.stdout + done.stderr
        jobs = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", text, flags=re.MULTILINE)
        named = [Job(rule, _wildcards(details)) for rule, details in jobs]
        return Done(done.returncode, text, tuple(dict.fromkeys(named)))

    @contextmanager
    def running(self, *options: str, **config: Any) -> Iterator[subprocess.Popen[str]]:
        """The same as a process with a group of its own, for signals; none of the group is left behind."""
        process = subprocess.Popen(
            _command(options, config),
            cwd=self.folder,
            env=_environment(),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stderr
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stderr.close()

    def add_switches(self) -> None:
        """From now on a rule's jobs wait while there is a file ``hold/<rule>``, and die if there is ``kill/<rule>``."""
        script = self.folder / "workflow_scripts" / "gradmix_stage.py"
        begins = "            yield log\n"
        text = script.read_text()
        assert text.count(begins) == 1
        switches = (
            '            while Path("hold", snakemake.rule).exists():\n'
            "                time.sleep(0.05)\n"
            '            if Path("kill", snakemake.rule).exists():\n'
            "                os.kill(os.getpid(), 9)\n"
        )
        script.write_text(text.replace(begins, switches + begins))

    @contextmanager
    def switched(self, which: str, rule: str) -> Iterator[None]:
        """Have a rule's jobs ``hold`` or ``kill`` for the time of the block."""
        file = self.folder / which / rule
        file.parent.mkdir(exist_ok=True)
        file.touch()
        try:
            yield
        finally:
            file.unlink()

    def would_run(self, *options: str, **config: Any) -> Done:
        """The jobs of a dry run."""
        done = self.run("--dry-run", *options, **config)
        assert done.status == 0, done.text
        return done

    @contextmanager
    def edited(self, path: str, old: str, new: str) -> Iterator[None]:
        """The file with one passage replaced; as it was, time stamp included, afterwards."""
        file = self.folder / path
        text, times = file.read_text(), file.stat()
        assert text.count(old) >= 1, f"{old!r} is not in {path}"
        file.write_text(text.replace(old, new, 1))
        try:
            yield
        finally:
            file.write_text(text)
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    @contextmanager
    def appended(self, path: str, text: str) -> Iterator[None]:
        """The file with lines added at its end."""
        whole = (self.folder / path).read_text()
        with self.edited(path, whole, whole + text):
            yield

    def copy(self, folder: Path) -> "Workflow":
        """Another workflow in the same state."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Workflow(folder)


def _command(options: Sequence[str], config: Mapping[str, Any]) -> list[str]:
    values = [f"{key}={_inline(value)}" for key, value in config.items()]
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *options]
    if "--configfile" not in options:
        command += ["--configfile", "mini.yaml"]
    return [*command, "--config", *values] if values else command


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def _inline(value: Any) -> str:
    """A value as YAML in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    return text.strip().removesuffix("...").strip()


def _wildcards(details: str) -> str:
    line = re.search(r"^    wildcards: (.*)$", details, flags=re.MULTILINE)
    return line.group(1) if line else ""


def make_workflow(repository: Path, folder: Path) -> Workflow:
    """A fresh copy with its data and ``mini.yaml``: the default experiment, as small as it goes."""
    folder.mkdir(parents=True)
    for part in PARTS:
        source = repository / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)
    write_arrays(folder / "data" / "low_digits.npz")
    config = yaml.safe_load((repository / "config" / "config.yaml").read_text())
    (folder / "mini.yaml").write_text(yaml.safe_dump(config | miniature(config), sort_keys=False))
    return Workflow(folder)


def write_arrays(path: Path, *, count: int = 60) -> None:
    """Handwritten digits 0-4 in anybody's own format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    rows = np.flatnonzero(digits.target < 5)[:count]
    images = (digits.images[rows] * 15).astype(np.uint8)
    np.savez(path, images=images, labels=digits.target[rows])


def miniature(config: dict[str, Any]) -> dict[str, Any]:
    """The keys in which the miniature differs: every stage and method is there, and takes moments."""
    training = {
        "steps": 4,
        "evaluate_every": 2,
        "batch_size": 8,
        "target_batch_size": 16,
        "target_only_steps": 4,
        "target_only_evaluate_every": 2,
        "fine_tune_steps": 4,
        "fine_tune_evaluate_every": 2,
    }
    low_digits = {"origin": "arrays", "file": "low_digits.npz", "label_space": "digits_0_4"}
    return {
        "title": "Miniature",
        "device": "cpu",
        "domains": {
            "rendered_5_9": config["domains"]["rendered_5_9"] | {"count": 60},
            "low_digits": low_digits,
            "sklearn_5_9": config["domains"]["sklearn_5_9"],
        },
        "sources": ["rendered_5_9", "low_digits"],
        "target": {
            "domain": "sklearn_5_9",
            "test_per_class": 20,
            "hyper_validation_per_class": 10,
        },
        "labels_per_class": [3],
        "draws": 1,
        "image": {"height": 16, "width": 16},
        "network": {"name": "convnet", "width": 4, "hidden": 8},
        "training": config["training"] | training,
        "grid": {"beta": [5, 10], "gamma": [0.0, 0.5], "runs_per_job": 3},
        "pseudo_labels": {"models": 2, "threshold": 0.0, "enlarge_to": 10},
        "methods": {method: {} for method in METHODS}
        | {"fixed_weights": {"options": {"fixed_weights": {"weights": {"V": 3}}}}},
        "tuning": {"budget": 3},
        "conditions": {},
        "resources": config["resources"] | PACKS_OF_ONE,
    }
