"""Damaged files under `output_dir`: whoever reads one says so, or heals it, or it made no difference."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

from tests.faults.campaign import Case
from tests.faults.miniature import Job, Miniature, last_words, planned_again, snakemake
from tests.faults.verdict import LOST, SURVIVED, WRONG, BadCaseError, clear

# Every kind of file has its share of the cases.
KINDS = {
    "images": "domains/*/images.npy",
    "index": "domains/*/index.parquet",
    "domain.json": "domains/*/domain.json",
    "split": "splits/*/?.json",
    "enlarged": "splits/*/*.enlarged.json",
    "manifest": "packs/**/*.json",
    "model": "runs/*/*/*/model.safetensors",
    "grid model": "grid/*/*/*/model.safetensors",
    "record": "runs/*/*/*/run.json",
    "grid record": "grid/*/*/*/run.json",
    "curves": "runs/*/*/*/curves.parquet",
    "ensemble": "ensemble/*/*.json",
    "predictions": "pseudo_labels/*/*/predictions.parquet",
    "summary": "pseudo_labels/*/*/summary.json",
    "quality": "pseudo_labels/*/*/quality.json",
    "metrics": "runs/*/*/*/metrics.json",
}
WATCHED = KINDS | {
    "figure": "figures/*.svg",
    "table": "tables/*",
    "report": "report.html",
    "run's folder": "runs/*/*/*",
}
STORED = ("stored model", "stored record", "stored curves", "checkpoint")


def damaged_bytes(content: bytes, chance: random.Random) -> tuple[str, bytes]:
    """What was done to them, and these bytes with a fault."""
    what = chance.choice(["a bit", "a bit", "three bits", "zeros", "cut", "empty", "longer"])
    if what == "cut":
        return what, content[: chance.randrange(len(content))] if content else b""
    if what == "empty":
        return what, b""
    if what == "longer" or not content:
        return "longer", content + chance.randbytes(chance.randrange(1, 64))
    changed = bytearray(content)
    if what == "zeros":
        start = chance.randrange(len(changed))
        length = min(len(changed) - start, chance.choice([1, 16, 512]))
        changed[start : start + length] = bytes(length)
        return what, bytes(changed)
    for _ in range(1 if what == "a bit" else 3):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return what, bytes(changed)


def a_file(case: Case) -> str:
    """A file is damaged, and one of the jobs that read it is run again."""
    miniature = miniature_of(case)
    own = miniature.copy(case.folder)
    kind = case.chance.choice([*KINDS, *STORED])
    if kind in STORED:
        return _in_the_store(case, own, kind)
    path = case.chance.choice(sorted((own / "results").glob(KINDS[kind])))
    name = str(path.relative_to(own))
    _damage(case, path)
    maker = next(job for job in miniature.jobs if name in miniature.made[job])
    readers = miniature.readers(maker)
    again = planned_again(own, [maker])
    if not again and not readers:
        return SURVIVED
    jobs = [*again, *([case.chance.choice(readers)] if readers else [])]
    case.did(f"then {', '.join(job.rule for job in jobs)}")
    return _runs_again(miniature, own, jobs, path)


def _runs_again(miniature: Miniature, own: Path, jobs: list[Job], path: Path) -> str:
    for job in jobs:
        miniature.without(own, [job])
        said = job.run(own)
        if said.status:
            names = [path.name, path.parent.name, str(path.relative_to(own))]
            return clear(last_words(said.text), names)
    if other := miniature.differing(own, jobs):
        raise BadCaseError(WRONG, f"exit status 0, but others: {', '.join(other[:5])}")
    return SURVIVED


def _in_the_store(case: Case, own: Path, kind: str) -> str:
    """A finished record in the store, or a checkpoint; the run is started again."""
    miniature = miniature_of(case)
    job = case.chance.choice([job for job in miniature.jobs if job.rule.startswith("train")])
    store = own / "results" / ".store"
    if kind == "checkpoint":
        shutil.rmtree(store)
        miniature.without(own, [job])
        child = job.start(own)
        ready = time.monotonic() + 20
        while not list(store.glob("*/lock")) and time.monotonic() < ready:
            time.sleep(0.005)
        time.sleep(case.chance.uniform(0, 0.2))
        os.kill(child, signal.SIGTERM)
        job.wait(child, own)
        files = sorted(store.glob("*/*checkpoint.safetensors"))
        if not files:
            case.did("it was ended before it had a checkpoint")
            files = sorted(store.glob("*/done/model.safetensors")) or sorted(store.glob("*/lock"))
    else:
        file = {"stored model": "model.safetensors", "stored record": "run.json"}
        files = sorted(store.glob(f"*/done/{file.get(kind, 'curves.parquet')}"))
        if case.chance.random() < 0.7:  # as Snakemake leaves it before it starts a job again
            miniature.without(own, [job])
    path = case.chance.choice(files)
    _damage(case, path, link=case.chance.random() < 0.5)
    case.did(f"then {job.rule} {job.outputs[0]}")
    said = job.run(own)
    if said.status:
        return clear(last_words(said.text), [path.name, path.parent.name])
    if other := miniature.differing(own, [job]):
        raise BadCaseError(WRONG, f"exit status 0, but others: {', '.join(other[:5])}")
    return SURVIVED


def through_a_link(case: Case) -> str:
    """A finished model is damaged in place; the store must give back the one that was trained."""
    miniature = miniature_of(case)
    own = miniature.copy(case.folder)
    job = case.chance.choice([job for job in miniature.jobs if job.rule.startswith("train")])
    names = [name for name in miniature.made[job] if "/packs/" not in name]
    path = own / case.chance.choice(names)
    _damage(case, path, link=True, keep_date=False)
    if not planned_again(own, [job]):
        return SURVIVED
    said = job.run(own)
    if said.status:
        return clear(last_words(said.text), [path.name, path.parent.name])
    if other := miniature.differing(own, [job]):
        raise BadCaseError(WRONG, f"the store handed out others: {', '.join(other[:5])}")
    return SURVIVED


def a_deleted_file(case: Case) -> str:
    """A file of a finished experiment is deleted; Snakemake is started again and must bring it back."""
    miniature = miniature_of(case)
    own = miniature.copy(case.folder, whole=True)
    kinds = [kind for kind in WATCHED if kind not in ("images", "index")]
    kind = case.chance.choice(kinds if case.chance.random() < 0.7 else ["run's folder"])
    path = case.chance.choice(sorted((own / "results").glob(WATCHED[kind])))
    case.did(f"deleted {path.relative_to(own)}")
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    said = snakemake(own)
    if said.status:
        raise BadCaseError(LOST, f"exit status {said.status}: {said.text[-800:]}")
    if gone := miniature.gone(own):
        raise BadCaseError(LOST, f"exit status 0, but not there: {', '.join(gone[:5])}")
    if other := miniature.not_lasting(own):
        raise BadCaseError(WRONG, f"exit status 0, but others: {', '.join(other[:5])}")
    return SURVIVED


def _damage(case: Case, path: Path, *, link: bool = False, keep_date: bool = True) -> None:
    """Damage a file, size and date as they were where that is possible; link: in place, so that hard links see it."""
    times, content = path.stat(), path.read_bytes()
    what, changed = _other(case.chance, path, content)
    if not link:
        path.unlink()
    path.write_bytes(changed)
    if keep_date:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    kept = "" if keep_date else ", with another date"
    case.did(f"{what} in {'/'.join(path.parts[-4:])}{' in place' * link}{kept}")


def _other(chance: random.Random, path: Path, content: bytes) -> tuple[str, bytes]:
    choice = chance.random()
    if choice < 0.2 and path.suffix == ".safetensors" and content:
        # All numbers are NaN, of a file that is whole.
        length = 8 + int.from_bytes(content[:8], "little")
        rest = len(content) - length
        return "NaN", content[:length] + (b"\x00\x00\xc0\x7f" * (rest // 4 + 1))[:rest]
    if choice < 0.4 and path.suffix == ".npy":
        # A single pixel seldom tells in so short a training.
        return "every pixel inverted", content[:128] + bytes(255 - byte for byte in content[128:])
    if choice < 0.4:
        siblings = [p for p in path.parent.parent.parent.rglob(path.name) if p != path]
        siblings = [p for p in siblings if p.is_file() and p.read_bytes() != content]
        if siblings:
            sibling = chance.choice(sorted(siblings))
            return f"{'/'.join(sibling.parts[-3:])} in place", sibling.read_bytes()
    if choice < 0.55 and path.suffix == ".json":
        return _other_value(chance, content)
    return damaged_bytes(content, chance)


def _other_value(chance: random.Random, content: bytes) -> tuple[str, bytes]:
    """A number in a JSON file is another one of as many digits."""
    places = [
        place
        for place, byte in enumerate(content)
        if 48 <= byte <= 56 and content[place - 1 : place] in (b" ", b".", b"[")
    ]
    if not places:
        return damaged_bytes(content, chance)
    changed = bytearray(content)
    changed[chance.choice(places)] += 1
    return "another number", bytes(changed)


def miniature_of(case: Case) -> Miniature:
    assert case.miniature is not None
    return case.miniature
