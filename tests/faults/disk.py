"""A full disk under `output_dir`: a small file system of random size."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.faults.campaign import Case
from tests.faults.damage import miniature_of
from tests.faults.kills import ends_well
from tests.faults.miniature import last_words, snakemake
from tests.faults.verdict import CLEAR, LOST, SURVIVED, UNCLEAR, WRONG, BadCaseError, clear

FULL = ("No space left", "disk", "GB left", "MB left")
KIBI = 1024


def not_here() -> str:
    """Why a small file system cannot be mounted; nothing if it can."""
    if os.geteuid():
        return "a small file system takes root to mount"
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(
            ["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True
        ).returncode:
            return "a small file system cannot be mounted here"
        subprocess.run(["umount", folder], check=True)
    return ""


def in_a_job(case: Case) -> str:
    """The disk is full while a job writes; after making room it is run again."""
    miniature = miniature_of(case)
    own = miniature.copy(case.folder)
    job = miniature.some_job(case.chance)
    miniature.without(own, [job])
    if case.chance.random() < 0.7:
        shutil.rmtree(own / "results" / ".store")
    whole = sum(map(_size, map(miniature.workflow.folder.joinpath, miniature.made[job])))
    room = case.chance.randrange(0, int(whole * 1.3) + 20 * KIBI)
    case.did(f"{room // KIBI} KiB left for {job.rule}, which writes {whole // KIBI} KiB")
    disk = _small(own, room)
    try:
        said = job.run(own)
        verdict = SURVIVED
        if said.status:
            verdict = clear(last_words(said.text), FULL)
        if other := miniature.untouched(own, [job]):
            raise BadCaseError(
                LOST, f"files of other jobs are gone or others: {', '.join(other[:5])}"
            )
        if said.status:
            _make_room(disk)
            said = job.run(own)
        if said.status:
            raise BadCaseError(LOST, f"with room again: {last_words(said.text)}")
        if other := miniature.differing(own, [job]):
            raise BadCaseError(WRONG, f"others than without a full disk: {', '.join(other[:5])}")
        return verdict
    finally:
        _unmount(disk)


def in_a_workflow(case: Case) -> str:
    """The disk is full while Snakemake runs the second half; after making room it is started again."""
    miniature = miniature_of(case)
    own = miniature.copy(case.folder, whole=True)
    first = case.chance.choice(miniature.jobs[3:])
    jobs = [first, *miniature.after(first)]
    miniature.without(own, jobs)
    whole = sum(
        _size(miniature.workflow.folder / name) for job in jobs for name in miniature.made[job]
    )
    room = case.chance.randrange(0, whole)
    case.did(f"{room // KIBI} KiB left from {first.rule} on, which takes {whole // KIBI} KiB")
    disk = _small(own, room)
    try:
        said = snakemake(own)
        if said.status == 0:
            return ends_well(miniature, own)
        if not any(word in said.text for word in FULL):
            raise BadCaseError(UNCLEAR, f"the disk is not named: {said.text[-1500:]}")
        if other := miniature.untouched(own, jobs):
            raise BadCaseError(
                LOST, f"files of other jobs are gone or others: {', '.join(other[:5])}"
            )
        _make_room(disk)
        ends_well(miniature, own)
        return CLEAR
    finally:
        _unmount(disk)


def _size(path: Path) -> int:
    """What a file takes of a tmpfs, in whole pages."""
    return -(-path.stat().st_size // 4096) * 4096


def _small(own: Path, room: int) -> Path:
    """Put the results on a file system with so many bytes left."""
    disk, aside = own / "results", own / "aside"
    disk.rename(aside)
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", disk], check=True)
    subprocess.run(["cp", "-a", f"{aside}/.", disk], check=True)
    usage = os.statvfs(disk)
    taken = (usage.f_blocks - usage.f_bfree) * usage.f_frsize
    subprocess.run(["mount", "-o", f"remount,size={taken + max(4096, room)}", disk], check=True)
    shutil.rmtree(aside)
    return disk


def _make_room(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)


def _unmount(disk: Path) -> None:
    subprocess.run(["umount", "-l", disk], check=True)
