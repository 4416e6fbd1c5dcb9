"""Kills: of single jobs, of whole workflows and their workers, and of jobs after a change of code."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.faults.campaign import Case
from tests.faults.damage import miniature_of
from tests.faults.miniature import Job, Miniature, environment, last_words, snakemake
from tests.faults.verdict import LOST, SURVIVED, WRONG, BadCaseError

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MOST_STARTS = 4


def a_job(case: Case) -> str:
    """A stage's script is ended at random moments, and started again until it ends by itself."""
    miniature = miniature_of(case)
    job = miniature.some_job(case.chance)
    return _killed(case, job, kills=case.chance.randint(1, 3))


def a_training(case: Case) -> str:
    """Like `a_job`, for the scripts that train, most often inside the training."""
    miniature = miniature_of(case)
    job = case.chance.choice([job for job in miniature.jobs if job.rule.startswith("train")])
    return _killed(case, job, kills=case.chance.randint(1, 6))


def _killed(case: Case, job: Job, kills: int) -> str:
    miniature = miniature_of(case)
    own = miniature.copy(case.folder)
    shutil.rmtree(own / "results" / ".store")
    miniature.without(own, [job])
    for _ in range(kills):
        number = case.chance.choice(SIGNALS)
        seconds = case.chance.uniform(0, miniature.seconds[job])
        case.did(f"{signal.Signals(number).name} to {job.rule} after {seconds:.3f} s")
        child = job.start(own)
        time.sleep(seconds)
        os.kill(child, number)
        job.wait(child, own)
    said = job.run(own)
    if said.status:
        raise BadCaseError(
            LOST, f"started again it ends with {said.status}: {last_words(said.text)}"
        )
    if other := miniature.differing(own, [job]):
        raise BadCaseError(WRONG, f"others than without kills: {', '.join(other[:5])}")
    if other := miniature.untouched(own, [job]):
        raise BadCaseError(LOST, f"files of other jobs are gone or others: {', '.join(other[:5])}")
    return SURVIVED


def a_workflow(case: Case) -> str:
    """Controller or worker is ended in the middle of a half-done experiment; Snakemake is started again."""
    miniature = miniature_of(case)
    own = miniature.copy(case.folder, whole=True)
    first = case.chance.choice(miniature.jobs[3:])
    jobs = [first, *miniature.after(first)]
    miniature.without(own, jobs)
    if case.chance.random() < 0.5:
        shutil.rmtree(own / "results" / ".store")
    number = case.chance.choice(SIGNALS)
    name = signal.Signals(number).name
    if case.chance.random() < 0.5:
        stage, seconds = _stage(case.chance.choice(jobs)), case.chance.uniform(0, 3)
        case.did(f"{name} to the first {stage} after {seconds:.1f} s; not done from {first.rule}")
        flag = case.folder / "kill"
        flag.touch()
        snakemake(own, FAULTS_KILL=f"{stage}:{int(number)}:{seconds}:{flag}")
    else:
        started = case.chance.randrange(len(jobs))
        seconds = case.chance.uniform(0, 4)
        case.did(
            f"{name} to Snakemake {seconds:.1f} s after it started {started} jobs; not done from {first.rule}"
        )
        _kill_controller(own, number, started, seconds)
    return ends_well(miniature, own)


def _stage(job: Job) -> str:
    return job.script.name.split(".")[1]


def _kill_controller(own: Path, number: int, started: int, seconds: float) -> None:
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "mini.yaml"]
    with subprocess.Popen(
        command,
        cwd=own,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        seen = 0
        while seen < started and (line := process.stderr.readline()):
            seen += line.startswith(("rule ", "localrule "))
        time.sleep(seconds)
        process.send_signal(number)
        # Not read to its end: what it started may live on with the other end of the pipe.
        process.stderr.close()
        process.wait()


def ends_well(miniature: Miniature, own: Path, but: str = "none") -> str:
    """Start Snakemake until it ends well; everything must be there and, but for files of that name, as it was."""
    said = None
    for _ in range(MOST_STARTS):
        said = snakemake(own)
        if said.status == 0:
            break
        if "snakemake --unlock" in said.text or "--unlock" in said.text:
            raise BadCaseError(LOST, f"a dead controller's lock stops it: {said.text[-500:]}")
        time.sleep(2)
    assert said is not None
    if said.status:
        raise BadCaseError(
            LOST, f"started {MOST_STARTS} times, it ends with {said.status}: {said.text[-1500:]}"
        )
    if gone := miniature.gone(own):
        raise BadCaseError(LOST, f"exit status 0, but not there: {', '.join(gone[:5])}")
    if other := [name for name in miniature.not_lasting(own) if Path(name).name != but]:
        raise BadCaseError(WRONG, f"others than without kills: {', '.join(other[:5])}")
    return SURVIVED


# A file whose change runs the stage again, and as little before it as can be.
CODE = {
    "prepare_domain": "gradmix/domains/arrays.py",
    "split": "gradmix/splits.py",
    "train_grid": "gradmix/mixing/gradmix.py",
    "train": "gradmix/mixing/fixed_weights.py",  # of one method alone
    "select_models": "gradmix/training/select.py",
    "pseudo_label": "gradmix/pseudo_labels.py",
    "pseudo_label_quality": "gradmix/pseudo_labels.py",
    "enlarge": "gradmix/pseudo_labels.py",
    "evaluate": "gradmix/evaluation.py",
    "tables": "gradmix/results/tables.py",
    "figures": "gradmix/results/figures/confusion.py",
    "report": "gradmix/results/report.py",
}


def after_a_change(case: Case) -> str:
    """In a finished experiment code is changed, a job that runs again is killed, and Snakemake is started again."""
    miniature = miniature_of(case)
    own = miniature.copy(case.folder, whole=True)
    stage = list(CODE)[case.seed % len(CODE)]
    number = case.chance.choice(SIGNALS)
    seconds = case.chance.uniform(
        0, 1.5
    )  # before the quickest job is done, which imports for as long
    case.did(
        f"{CODE[stage]} changed, {signal.Signals(number).name} to {stage} after {seconds:.1f} s"
    )
    with open(own / CODE[stage], "a") as file:
        file.write(f"\n_UNUSED = {random.Random(case.seed).random()}\n")
    flag = case.folder / "kill"
    flag.touch()
    said = snakemake(own, FAULTS_KILL=f"{stage}:{int(number)}:{seconds}:{flag}")
    if flag.exists():
        raise BadCaseError(LOST, f"the change started no {stage}: {said.text[-500:]}")
    case.did(f"which ended with {said.status}")
    return ends_well(miniature, own, but="domain.json")  # which holds the fingerprint of the code
