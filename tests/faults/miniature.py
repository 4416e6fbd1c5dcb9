"""The miniature experiment that faults are put into: run to its report once, every job kept to be run again at will.

A job that is run again is the very script that Snakemake started, in a forked process that has imported everything, in
a copy of the experiment's folder: a second instead of ten.
"""

import hashlib
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "workflow"))

from experiment import Workflow, make_workflow  # noqa: E402

from gradmix.config.load import known_keys  # noqa: E402
from gradmix.manifest import fault, files_in  # noqa: E402

STARTED = Path(__file__).parent / "started"
# A method with pseudo-labels, and one with a mixer of its own; two draws, so that every file has a sibling; few jobs.
WEIGHTS = {"options": {"fixed_weights": {"weights": {"V": 3}}}}
SMALL = {
    "methods": {"gradmix": {}, "gradmix_hard": {}, "fixed_weights": WEIGHTS},
    "draws": 2,
    "grid": {"beta": [5, 10], "gamma": [0.5], "runs_per_job": 4},
}
PACKS = {"draws_per_job": 2, "methods_per_evaluation": 4, "figures_per_job": 40, "threads": 1}


@dataclass(frozen=True)
class Job:
    """A job of the workflow, with the script that Snakemake made for it."""

    rule: str
    script: Path
    inputs: frozenset[str]
    outputs: tuple[str, ...]

    def run(self, folder: Path) -> "Said":
        """Run it as Snakemake does: its outputs are removed before, and after a failure."""
        return self.wait(self.start(folder), folder)

    def start(self, folder: Path) -> int:
        """Begin it in a child; its number."""
        self.remove_outputs(folder)
        child = os.fork()
        if child:
            return child
        status = 1
        try:
            os.chdir(folder)
            said = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(said, 1)
            os.dup2(said, 2)
            exec(
                compile(self.script.read_text(), str(self.script), "exec"),
                {"__name__": "job", "__file__": str(self.script)},
            )
            status = 0
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def wait(self, child: int, folder: Path) -> "Said":
        """Wait for its end."""
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            self.remove_outputs(folder)
        said = folder / "said"  # which one that was killed at once did not begin
        return Said(status, said.read_text(errors="replace") if said.exists() else "")

    def remove_outputs(self, folder: Path) -> None:
        """Remove what the workflow knows of its outputs."""
        for output in self.outputs:
            (folder / output).unlink(missing_ok=True)


@dataclass(frozen=True)
class Said:
    """Exit status of a job or a workflow, and what it said."""

    status: int
    text: str


@dataclass
class Miniature:
    """A finished experiment.

    Attributes:
        root: where it lies.
        workflow: a copy of the workflow and the package, with the results.
        jobs: in the order in which they ran.
        made: names of the files of each.
        expected: their hashes when the job alone is run again; empty where they are others each time (seconds, dates).
        seconds: that each takes then.
        lasting: hashes of all files when all jobs are run again.
    """

    root: Path
    workflow: Workflow
    jobs: list[Job]
    made: dict[Job, tuple[str, ...]] = field(default_factory=dict)
    expected: dict[Job, dict[str, str]] = field(default_factory=dict)
    seconds: dict[Job, float] = field(default_factory=dict)
    lasting: dict[str, str] = field(default_factory=dict)

    def some_job(self, chance: random.Random) -> Job:
        """Any job; seldom one that draws, which takes longer than all others together."""
        drawing = [job for job in self.jobs if job.rule == "figures"]
        others = [job for job in self.jobs if job.rule != "figures"]
        return chance.choice(drawing if chance.random() < 0.03 else others)

    def copy(self, folder: Path, *, whole: bool = False) -> Path:
        """A copy below a case's folder, time stamps and hard links kept; whole: with the code, for Snakemake."""
        own = folder / "experiment"
        if whole:
            subprocess.run(["cp", "-a", self.workflow.folder, own], check=True)
            return own
        own.mkdir()
        parts = [self.workflow.folder / part for part in ("results", "data", "mini.yaml")]
        subprocess.run(["cp", "-a", *parts, own], check=True)
        return own

    def without(self, folder: Path, jobs: Iterable[Job]) -> None:
        """Take away what these jobs made."""
        for job in jobs:
            for name in self.made[job]:
                (folder / name).unlink(missing_ok=True)

    def after(self, job: Job) -> list[Job]:
        """The jobs that read what this one made, and theirs, in order."""
        reached, after = set(job.outputs), []
        for other in self.jobs:
            if other.inputs & reached:
                after.append(other)
                reached |= set(other.outputs)
        return after

    def readers(self, job: Job) -> list[Job]:
        """The jobs that read what this one made."""
        return [other for other in self.jobs if other.inputs & set(job.outputs)]

    def differing(self, folder: Path, jobs: Iterable[Job]) -> list[str]:
        """Files of these jobs that are not there, or are others than when each is run again without a fault."""
        names = {name: sha for job in jobs for name, sha in self.expected[job].items()}
        return [name for name, sha in names.items() if not _is(folder / name, sha)]

    def not_lasting(self, folder: Path) -> list[str]:
        """The same of the whole experiment, any part of which was run again."""
        return [name for name, sha in self.lasting.items() if not _is(folder / name, sha)]

    def gone(self, folder: Path) -> list[str]:
        """Files that are not there."""
        return [name for name in self.lasting if not (folder / name).is_file()]

    def untouched(self, folder: Path, jobs: Iterable[Job]) -> list[str]:
        """Files of other jobs than these that are not there any more, or are others."""
        mine = {name for job in jobs for name in self.made[job]}
        names = [name for job in self.jobs for name in self.made[job] if name not in mine]
        return [
            name
            for name in dict.fromkeys(names)
            if not (folder / name).is_file()
            or sha256(folder / name) != sha256(self.workflow.folder / name)
        ]


def _is(path: Path, sha: str) -> bool:
    return path.is_file() and (not sha or sha256(path) == sha)


def sha256(path: Path) -> str:
    """Of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def environment(**more: str) -> dict[str, str]:
    """Of a Snakemake under test."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    path = os.pathsep.join([str(STARTED), kept.get("PYTHONPATH", "")])
    return kept | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"} | more


def snakemake(
    folder: Path, *options: str, configuration: str | None = "mini.yaml", **more: str
) -> Said:
    """Run the workflow in a folder to its end; without a configuration file: by the default one."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2"]
    command += ["--configfile", configuration] if configuration else []
    done = subprocess.run(
        [*command, *options], cwd=folder, env=environment(**more), capture_output=True, text=True
    )
    return Said(done.returncode, done.stdout + done.stderr)


def make_miniature(root: Path) -> Miniature:
    """Run the miniature to its report, keep its jobs, and what each of them makes when it is run again."""
    workflow = make_workflow(REPOSITORY, root / "reference")
    path = workflow.folder / "mini.yaml"
    config = yaml.safe_load(path.read_text())
    config |= SMALL | {"resources": config["resources"] | PACKS}
    if "verify" in known_keys():
        config["verify"] = "full"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    kept = root / "jobs"
    kept.mkdir()
    done = snakemake(workflow.folder, FAULTS_KEEP=str(kept))
    if done.status:
        raise SystemExit(f"the miniature cannot be made:\n{done.text[-3000:]}")
    miniature = Miniature(root, workflow, [_job(path) for path in sorted(kept.iterdir())])
    for job in miniature.jobs:
        files = {os.path.normpath(file) for file in job.outputs}
        manifests = [file for file in job.outputs if "/packs/" in file]
        files |= set(_inside(workflow.folder, manifests))
        miniature.made[job] = tuple(sorted(files))
    for job in miniature.jobs:
        miniature.seconds[job], miniature.expected[job] = _again(miniature, [job])
    # Drawn once is enough: no figure shows a time, as tables and report do.
    drawing = [job for job in miniature.jobs if job.rule == "figures"]
    _, lasting = _again(miniature, [job for job in miniature.jobs if job not in drawing])
    miniature.lasting = lasting | {
        n: sha for job in drawing for n, sha in miniature.expected[job].items()
    }
    return miniature


def _inside(folder: Path, manifests: Iterable[str]) -> list[str]:
    listed = files_in([str(folder / manifest) for manifest in manifests])
    return [os.path.relpath(file, folder) for file in listed]


def _job(script: Path) -> Job:
    text = script.read_text()
    start = text.index("pickle.loads(b") + len("pickle.loads(")
    end = text.index(");from snakemake.logging", start)
    kept = pickle.loads(eval(text[start:end]))  # noqa: S301
    return Job(kept.rule, script, frozenset(map(str, kept.input)), tuple(map(str, kept.output)))


def _again(miniature: Miniature, jobs: Sequence[Job]) -> tuple[float, dict[str, str]]:
    """Run jobs again with an empty store: seconds, and files with their hashes where these are the same again."""
    folder = miniature.root / "again"
    folder.mkdir()
    own = miniature.copy(folder)
    shutil.rmtree(own / "results" / ".store")
    miniature.without(own, jobs)
    start = time.monotonic()
    for job in jobs:
        said = job.run(own)
        if said.status:
            raise SystemExit(f"{job.rule} cannot be run again: {said.text[-3000:]}")
    seconds = time.monotonic() - start
    names = [name for job in jobs for name in miniature.made[job]]
    first = {name: sha256(miniature.workflow.folder / name) for name in names}
    second = {name: sha256(own / name) for name in names}
    shutil.rmtree(folder)
    return seconds, {name: first[name] if first[name] == second[name] else "" for name in names}


def planned_again(folder: Path, jobs: Iterable[Job]) -> list[Job]:
    """Those whose files do not stand any more, as the workflow sees while it plans."""
    again = []
    for job in jobs:
        outputs = [folder / output for output in job.outputs]
        manifests = [path for path in outputs if "packs" in path.parts]
        if not all(path.exists() for path in outputs) or any(map(fault, manifests)):
            again.append(job)
    return again


def last_words(text: str) -> str:
    """What a failed job says to its user: its error, without Snakemake's frame around it."""
    match = re.search(r"^error in .*?(?=^\(log: )", text, flags=re.MULTILINE | re.DOTALL)
    return match[0] if match else text
