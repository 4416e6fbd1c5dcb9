"""Cuts a domain's share out of the images of its origin (`share`), and changes some (`perturbed`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gradmix.domains.content import content_hashes
from gradmix.domains.perturbed import perturbed_images, perturbed_labels

if TYPE_CHECKING:
    import pandas as pd

    from gradmix.domains.format import Chunk


def position_of(content: str, group: str = "", clip: str = "") -> float:
    """Place an image in [0, 1), of which `share` is an interval; the same on every machine.

    The place follows from the image's group, where it has one, else from its clip, else from its content, so that
    no interval parts a group, a clip or two copies.
    """
    unit = f"group {group}" if group else f"clip {clip}" if clip else f"content {content}"
    digest = hashlib.blake2b(unit.encode(), digest_size=8).digest()
    # 53 bits are what a float holds exactly; with more, the largest number would become 1.
    return float((int.from_bytes(digest, "big") >> 11) / 2**53)


class Cut:
    """Takes images as they stream by, changed where the settings say so.

    Args:
        settings: the domain's; used are `share` ([from, to], or null: all) and `perturbed` (`images` and `labels`,
            each with `share` and `kind`, and `seed`; missing: nothing is changed).
        classes: the label space's.
    """

    def __init__(self, settings: Mapping[str, Any], classes: Sequence[str]) -> None:
        self._share = settings.get("share")
        self._perturbed = settings.get("perturbed")
        self._classes = list(classes)
        self._seen: set[int] = set()
        self._outside = 0
        self._changed: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def take(
        self,
        images_NHWC: np.ndarray,
        labels_N: np.ndarray,
        groups: Sequence[str] | np.ndarray,
        clips: Sequence[str] | np.ndarray,
    ) -> tuple[np.ndarray, Chunk]:
        """Take the M of N images that are in the share, changed where the settings say so.

        Args:
            images_NHWC: (N,H,W,C) uint8, of their final size.
            labels_N: (N,) their true labels.
            groups: (N,) "" = none.
            clips: (N,) "" = none.

        Returns:
            (M,) their rows, and the chunk to write.
        """
        rows = np.arange(len(images_NHWC))
        if self._share is None and self._perturbed is None:
            return rows, images_NHWC
        content = content_hashes(images_NHWC)
        if self._share is not None:
            start, end = self._share
            positions_N = np.array(list(map(position_of, content, groups, clips)))
            rows = np.flatnonzero((start <= positions_N) & (positions_N < end))
            self._seen.update(np.unique(labels_N).tolist())
            self._outside += len(images_NHWC) - len(rows)
            images_NHWC, labels_N = images_NHWC[rows], labels_N[rows]
            content = [content[row] for row in rows]
        if self._perturbed is not None:
            images_NHWC, changed_N = perturbed_images(images_NHWC, content, self._perturbed)
            self._changed.append(changed_N)
            self._labels.append(
                perturbed_labels(labels_N, content, len(self._classes), self._perturbed)
            )
        return rows, (images_NHWC, content)

    def finished(self, index: pd.DataFrame) -> pd.DataFrame:
        """Put the changed labels into the index of all images taken.

        Raises:
            ValueError: a class had images, but `share` left none.
        """
        true_N = index["label"].to_numpy(np.int64)
        for label in sorted(self._seen - set(true_N.tolist())):
            start, end = self._share or (0, 1)
            raise ValueError(
                f"`share` [{start:g}, {end:g}] leaves no image of class {self._classes[label]!r}"
            )
        if self._perturbed is None:
            return index
        labels_N = np.concatenate(self._labels)
        return index.assign(
            label=labels_N,
            class_name=np.asarray(self._classes, dtype=str)[labels_N],
            image_changed=np.concatenate(self._changed).astype(np.int64),
            true_label=true_N,
        )

    def notes(self, index: pd.DataFrame) -> list[str]:
        """Write sentences for domain.json; `index` comes from `finished`."""
        notes = []
        if self._share is not None:
            start, end = self._share
            notes.append(f"{self._outside} images left out, outside the share [{start:g}, {end:g}]")
        if self._perturbed is not None:
            images = int(index["image_changed"].sum())
            labels = int((index["label"] != index["true_label"]).sum())
            notes.append(f"{images} images and {labels} labels of {len(index)} changed")
        return notes
