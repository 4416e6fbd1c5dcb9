"""Prepares one domain whose images are files: decodes pictures or clips side by side and writes them."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from gradmix.domains.classes import labels_of, left_out_note
from gradmix.domains.cut import Cut
from gradmix.domains.files.clips import Sampling, decode_clip
from gradmix.domains.files.decoded import Decoded, UndecodableError
from gradmix.domains.files.estimate import Estimate, estimate
from gradmix.domains.files.fit import Fit, opencv
from gradmix.domains.files.listing import LeftOut, Listing, MediaFile
from gradmix.domains.files.pictures import decode_picture
from gradmix.domains.files.side_by_side import CrashedError, side_by_side
from gradmix.domains.files.tree import abridged
from gradmix.domains.format import Chunk, stream_domain
from gradmix.domains.names import check_class_names

Log = Callable[[str], None]
_NAMED = 5
_USUAL_FRAMES = 186  # of a UCF101 clip, on average


def prepare_files(
    name: str,
    settings: Mapping[str, Any],
    positions: Mapping[str, int] | None,
    image: tuple[int, int],
    data_dir: str | Path,
    folder: str | Path,
    code: str,
    *,
    origin: ModuleType,
    processes: int = 1,
    log: Log | None = None,
) -> None:
    """Write the domain `name` into `folder`; every file is decoded once.

    Args:
        name: of the domain, for messages and domain.json.
        settings: the domain's part of the configuration: `origin`, `label_space`, what the origin
            needs, `resize` ("cover" or "stretch"), `most_left_out`, for clips `frames_per_clip` or
            `every`, and optionally `share` and `perturbed` (see `gradmix.domains.cut`).
        positions: label of each of the origin's classes that are kept (see `labels_of`); `None`:
            all that the files have, sorted.
        image: height and width of the written images.
        data_dir: where raw files lie.
        folder: of the domain; an older domain there is replaced.
        code: fingerprint of the code, recorded in domain.json.
        origin: the module of `settings["origin"]` (`gradmix.domains.registry.origin_module`).
        processes: number of processes that decode at the same time.
        log: takes one line at a time.

    Raises:
        ValueError: names the domain and the setting, file or class at fault; or too many files
            cannot be used, or the disk has no room for the images.
    """
    say = log or (lambda line: None)
    try:
        chosen = chosen_files(settings, positions, data_dir, origin)
        work = decoder(settings, chosen.listing, image)
        expected = expected_cost(settings, chosen, image, processes)
        say(f"{name}: {expected}")
        _check_room(Path(folder), expected)
        for left_out in chosen.listing.left_out:
            say(f"{name}: left out: {left_out.original}: {left_out.reason}")
        progress = _Progress(name, settings, chosen, say)
        chunks = progress.frames(side_by_side(work, chosen.files, processes))
        stream_domain(folder, chunks, lambda: progress.described(code))
    except ValueError as error:
        raise ValueError(f"domains.{name}: {error}") from error
    say(f"{name}: {progress.images} images of {progress.used} {chosen.listing.kind} written")


class Chosen:
    """The files of the wanted classes, with their labels.

    Attributes:
        listing: the origin's list.
        files: those of the label space's classes.
        labels: label of each of `files`.
        classes: name of each label, in the origin's words.
        notes: sentences that say what was left out.
    """

    def __init__(self, listing: Listing, positions: Mapping[str, int] | None) -> None:
        if not listing.files:
            raise ValueError(f"there are no {listing.kind}{_examples(listing.left_out)}")
        names = np.array([file.class_name for file in listing.files])
        check_class_names(sorted(set(names.tolist())), "the origin's classes")
        try:
            labels, self.classes, other = labels_of(names, positions)
        except ValueError as error:  # where a class lacks, it may have been left out
            raise ValueError(f"{error}{_examples(listing.left_out)}") from None
        self.listing = listing
        self.files = [f for f, label in zip(listing.files, labels, strict=True) if label >= 0]
        self.labels = labels[labels >= 0].tolist()
        self.notes = [*listing.notes, *left_out_note(other, listing.kind)]


def chosen_files(
    settings: Mapping[str, Any],
    positions: Mapping[str, int] | None,
    data_dir: str | Path,
    origin: ModuleType,
) -> Chosen:
    """Choose the files that preparing a domain with these settings would decode (arguments as in `prepare_files`)."""
    wanted = None if positions is None else set(positions)
    return Chosen(origin.listing(settings, Path(data_dir), wanted), positions)


def decoder(
    settings: Mapping[str, Any], listing: Listing, image: tuple[int, int]
) -> Callable[[MediaFile], Decoded]:
    """Make the function that decodes one of the listing's files; it raises `UndecodableError`."""
    opencv()  # here, before processes are forked
    how: Fit = settings.get("resize") or "cover"
    height, width = image
    decode = partial(decode_picture, height=height, width=width, how=how)
    if listing.kind == "clips":
        sampling = _sampling(settings)
        decode = partial(decode_clip, sampling=sampling, height=height, width=width, how=how)
    return partial(_decode, decode)


def expected_cost(
    settings: Mapping[str, Any], chosen: Chosen, image: tuple[int, int], processes: int
) -> Estimate:
    """Estimate what `prepare_files` will take, by decoding a few files."""
    usual = 1.0
    if chosen.listing.kind == "clips":
        sampling = _sampling(settings)
        usual = float(len(sampling.positions(_USUAL_FRAMES)))
    work = decoder(settings, chosen.listing, image)
    cost = estimate(chosen.files, work, usual, image, processes)
    start, end = settings.get("share") or (0, 1)
    # Every file is decoded, but not every image written.
    return replace(
        cost, images=round(cost.images * (end - start)), size=round(cost.size * (end - start))
    )


def _sampling(settings: Mapping[str, Any]) -> Sampling:
    every = settings.get("every")
    return Sampling(None if every else settings.get("frames_per_clip"), every)


def _decode(decode: Callable[[Path], Decoded], file: MediaFile) -> Decoded:
    return decode(file.path)


class _Progress:
    """Collects the index while frames stream by, and what is left out."""

    def __init__(self, name: str, settings: Mapping[str, Any], chosen: Chosen, say: Log) -> None:
        self._name, self._settings, self._chosen, self._say = name, settings, chosen, say
        self._rows: list[tuple[int, str, str, str, str]] = []
        self._left_out = list(chosen.listing.left_out)
        self._remarks: dict[str, list[str]] = defaultdict(list)
        self._hashes: list[str] = []
        self._cut = Cut(settings, chosen.classes)
        self._total = len(chosen.files) + len(self._left_out)
        self.used = 0
        self._check_share()

    @property
    def images(self) -> int:
        """Images so far."""
        return len(self._rows)

    def frames(self, decoded: Iterator[tuple[MediaFile, Decoded | Exception]]) -> Iterator[Chunk]:
        """Yield the images, file by file."""
        every = max(1, len(self._chosen.files) // 20)
        clips = self._chosen.listing.kind == "clips"
        for number, (label, (file, result)) in enumerate(
            zip(self._chosen.labels, decoded, strict=True), start=1
        ):
            if isinstance(result, Exception):
                self._leave_out(file, result)
            else:
                yield self._take(file, label, result, clips)
            if number % every == 0:
                self._say(f"{self._name}: {number} of {len(self._chosen.files)} files")

    def described(self, code: str) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Describe the domain by index and info, when all files have come by."""
        chosen, settings = self._chosen, self._settings
        columns = ["label", "class_name", "group", "clip", "original"]
        index = self._cut.finished(pd.DataFrame(self._rows, columns=columns))
        images = Counter(row[0] for row in self._rows)
        for label, class_name in enumerate(chosen.classes):
            if not images[label]:
                raise ValueError(
                    f"no file of class {class_name!r} can be used{_examples(self._left_out)}"
                )
        digest = hashlib.sha256("\n".join(self._hashes).encode()).hexdigest()
        sampling = {k: settings[k] for k in ("frames_per_clip", "every") if settings.get(k)}
        info = {
            "name": self._name,
            "origin": settings["origin"],
            "label_space": settings.get("label_space"),
            "classes": chosen.classes,
            "sources": {**chosen.listing.sources, chosen.listing.kind: digest},
            "code": code,
            "files": self.used,
            **(sampling if chosen.listing.kind == "clips" else {}),
            "notes": [*chosen.notes, *self._remarked(), *self._cut.notes(index)],
            "left_out": [{"original": x.original, "reason": x.reason} for x in self._left_out],
        }
        return index, info

    def _take(self, file: MediaFile, label: int, result: Decoded, clips: bool) -> Chunk:
        class_name = self._chosen.classes[label]
        clip = file.original if clips else ""
        names = [f"{file.original}#{n}" for n in result.numbers] or [file.original]
        count = len(names)
        kept, chunk = self._cut.take(
            result.frames_FHWC, np.full(count, label), [file.group] * count, [clip] * count
        )
        self._rows += [(label, class_name, file.group, clip, names[row]) for row in kept]
        # Of files outside the share, too: domains of common files are known by this.
        self._hashes.append(f"{file.original} {result.sha256}")
        self.used += len(kept) > 0
        if result.remark:
            self._remarks[result.remark].append(file.original)
        return chunk

    def _leave_out(self, file: MediaFile, error: Exception) -> None:
        # Whatever a decoder stumbles over: one file never ends the preparation of thousands.
        reason = str(error)
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        elif isinstance(error, MemoryError):
            reason = "needs more memory than there is"
        elif not isinstance(error, UndecodableError | CrashedError):
            reason = f"{type(error).__name__}: {' '.join(reason.split())}"
        self._left_out.append(LeftOut(file.original, reason))
        self._say(f"{self._name}: left out: {file.original}: {reason}")
        self._check_share()

    def _check_share(self) -> None:
        most = float(self._settings["most_left_out"])
        if len(self._left_out) > most * self._total:
            share = 100 * len(self._left_out) / self._total
            raise ValueError(
                f"{len(self._left_out)} of {self._total} {self._chosen.listing.kind} ({share:.1f} %)"
                f" cannot be used, more than most_left_out ({most:g})"
                f"{_examples(self._left_out)}"
            )

    def _remarked(self) -> list[str]:
        handled = {
            "animated": "the first frame is taken",
            "transparent": "the transparency is dropped",
        }
        return [
            f"{len(names)} {remark} images ({handled.get(remark, 'converted to RGB')}): "
            f"{abridged(names)}"
            for remark, names in sorted(self._remarks.items())
        ]


def _check_room(folder: Path, expected: Estimate) -> None:
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if expected.size > free:
        raise ValueError(
            f"the images need {expected.size / 1e9:.1f} GB, but {place} has {free / 1e9:.1f} GB left"
        )


def _examples(left_out: Sequence[LeftOut]) -> str:
    """Go on with a message about files that cannot be used: the first few, and why."""
    if not left_out:
        return ""
    shown = "".join(f"\n  {item.original}: {item.reason}" for item in left_out[:_NAMED])
    more = f"\n  and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
    return f":{shown}{more}"
