"""The sets of one run, on its device: exactly those that its recipe names, and H.

Shapes: N images of a set, B images of a batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gradmix.domains.format import Domain
from gradmix.methods.method import Method, Set, Stream
from gradmix.seeds import derive_seed
from gradmix.training.batches import Sampler, Shuffled, target_sampler
from gradmix.training.images import Located, located_images


@dataclass(frozen=True)
class ImageSet:
    """Images of one domain with their labels.

    Attributes:
        name: for records and messages ("V", "S_u", or the source's name).
        images: (M, height, width, channels) uint8, the images where they lie: on the device, or the memory-mapped
            file of the whole domain.
        labels: (N,) int64 class indices or (N, C) float32 probabilities, on the device.
        label_space: the head that the images use.
        domain: the domain that they come from (per-domain normalisation statistics go by it).
        rows: (N,) int64, which of `images` belong to the set, on the same device; ``None``: all of them, which
            lie on the device.
    """

    name: str
    images: Tensor
    labels: Tensor
    label_space: str
    domain: str
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def device(self) -> torch.device:
        """Where training happens."""
        return self.labels.device

    @property
    def in_file(self) -> bool:
        """Whether the images lie in a memory-mapped file, of which `rows` are the set."""
        return self.rows is not None and self.images.device.type == "cpu"

    def take(self, positions: Tensor) -> Tensor:
        """(n, height, width, channels) uint8 images at these positions of the set, on the device.

        One gather, whether from the device or from the memory map.
        """
        positions = positions.to(self.images.device)
        rows = positions if self.rows is None else self.rows[positions]
        return self.images.index_select(0, rows).to(self.device, non_blocking=True)


@dataclass(frozen=True)
class LoadedStream:
    """A recipe's stream with its images and its batches.

    Attributes:
        recipe: what it is for.
        set: its images.
        sampler: its batches.
        name: the set's name; with the term behind it where the set has several streams.
    """

    recipe: Stream
    set: ImageSet
    sampler: Sampler
    name: str


@dataclass(frozen=True)
class RunInputs:
    """The files of a run: domains by name, what is to be read of them, and what earlier stages made.

    Attributes:
        sources: source domains by name, in the order of the configuration.
        target: the target domain.
        labels: the target's labels, -1 but for V and H (`labels_for_training`); training asks for no others.
        split: V, H, U and the source rows to leave out (`gradmix.splits`).
        enlarged: the enlarged V and S_u, where the recipe needs pseudo-labels.
        soft_labels: (n, C) mean softmax by target row, where the recipe needs soft labels.
        loaded: sets that lie on a device already, for the further members of a pack.
        located: whole domains that lie on a device already, for the runs of other draws; ``None``: every set has
            its own images there.
    """

    sources: Mapping[str, Domain]
    target: Domain
    labels: np.ndarray
    split: Mapping[str, Any]
    enlarged: Mapping[str, Any] | None = None
    soft_labels: Mapping[int, np.ndarray] | None = None
    loaded: dict[tuple[str, torch.device], list[ImageSet]] = field(default_factory=dict)
    located: Located | None = None


def load_streams(
    recipe: Method, inputs: RunInputs, training: Mapping[str, Any], seed: int, device: torch.device
) -> tuple[list[LoadedStream], list[str]]:
    """The recipe's streams, and notes on what is missing among them (an empty S_u is left out).

    Args:
        recipe: the method; no set that it does not name is read.
        inputs: the run's files.
        training: batch_size, target_batch_size and unlabelled_batch_size, as far as the recipe's sets need them.
        seed: of the batches; every set derives its own from its name, so that two methods see the same
            batches of the sets that they share.
        device: where the images go.
    """
    loaded: list[LoadedStream] = []
    notes: list[str] = []
    for stream in recipe.streams:
        for images in _sets(stream.images, inputs, device):
            if len(images) == 0:
                taken = inputs.enlarged and any(inputs.enlarged["V_is_pseudo"])
                reason = "V took every accepted image" if taken else "no pseudo-label accepted"
                notes.append(f"{reason}: trained without S_u")
                continue
            stream_seed = derive_seed(seed, "batches", images.name)
            sampler: Sampler
            if stream.images in ("V", "V_enlarged"):
                labels = images.labels.cpu()
                sampler = target_sampler(labels, int(training["target_batch_size"]), stream_seed)
            else:
                rows = torch.arange(len(images))
                size = "unlabelled_batch_size" if stream.images == "U" else "batch_size"
                sampler = Shuffled(rows, int(training[size]), stream_seed)
            taken_names = {other.name for other in loaded}
            name = f"{images.name}:{stream.term}" if images.name in taken_names else images.name
            loaded.append(LoadedStream(stream, images, sampler, name))
    return loaded, notes


def hyper_validation(
    inputs: RunInputs, device: torch.device, per_class: int | None = None
) -> ImageSet:
    """H, the labelled target images that only choose checkpoints and models.

    Args:
        inputs: the run's files.
        device: where the images go.
        per_class: only the first so many of every class, to see what a smaller H would choose; ``None``: all.
    """
    whole = _sets("H", inputs, device)[0]
    if per_class is None:
        return whole
    labels = whole.labels.cpu()
    kept = torch.cat([(labels == c).nonzero()[:per_class, 0] for c in labels.unique()])
    rows = kept if whole.rows is None else whole.rows.cpu()[kept]
    return replace(whole, labels=whole.labels[kept.to(device)], rows=rows.to(whole.images.device))


def _sets(name: Set | Literal["H"], inputs: RunInputs, device: torch.device) -> list[ImageSet]:
    key = (name, device)
    if key not in inputs.loaded:
        inputs.loaded[key] = _load(name, inputs, device)
    return inputs.loaded[key]


def _load(name: Set | Literal["H"], inputs: RunInputs, device: torch.device) -> list[ImageSet]:
    target, shared = inputs.target, inputs.located
    if name in ("sources", "target_sources"):
        return [
            _source_set(
                source, domain, inputs.split["source_left_out"].get(source, []), device, shared
            )
            for source, domain in inputs.sources.items()
            if name == "sources" or domain.label_space == target.label_space
        ]
    if name == "U":
        # -1 for every image: no label of U exists in training code.
        rows = inputs.split["U"]
        return [
            _target_set("U", target, rows, np.full(len(rows), -1), device, shared, labelled=False)
        ]
    if name in ("V", "H"):
        rows = inputs.split[name]
        return [_target_set(name, target, rows, inputs.labels[rows], device, shared)]
    assert inputs.enlarged is not None, f"{name} needs the enlarged split"
    if name == "V_enlarged":
        labels = inputs.enlarged["V_labels"]
        return [_target_set("V", target, inputs.enlarged["V"], labels, device, shared)]
    if name == "S_u_hard":
        labels = inputs.enlarged["S_u_hard_labels"]
        return [_target_set("S_u", target, inputs.enlarged["S_u_hard"], labels, device, shared)]
    assert name == "S_u_soft"
    assert inputs.soft_labels is not None
    rows = inputs.enlarged["S_u_soft"]
    soft = np.array([inputs.soft_labels[row] for row in rows], dtype=np.float32)
    return [_target_set("S_u", target, rows, soft, device, shared)]


def _source_set(
    name: str, domain: Domain, left_out: list[int], device: torch.device, shared: Located | None
) -> ImageSet:
    keep = np.ones(len(domain), dtype=bool)
    keep[left_out] = False
    rows = np.flatnonzero(keep)
    if len(rows) == 0:
        raise ValueError(
            f"source {name}: no image is left after the leak guard took out duplicates"
        )
    labels = np.asarray(domain.labels)[rows].astype(np.int64)
    return _set(name, domain, rows, labels, device, shared)


def _target_set(
    name: str,
    target: Domain,
    rows: list[int],
    labels: Any,
    device: torch.device,
    shared: Located | None,
    *,
    labelled: bool = True,
) -> ImageSet:
    values = np.asarray(labels)
    values = values.astype(np.float32 if values.ndim == 2 else np.int64)
    if labelled:
        assert values.size == 0 or values.min() >= 0, f"{name} holds an image without a label"
    return _set(name, target, np.asarray(rows, dtype=np.int64), values, device, shared)


def _set(
    name: str,
    domain: Domain,
    rows: np.ndarray,
    labels: np.ndarray,
    device: torch.device,
    shared: Located | None,
) -> ImageSet:
    images, chosen = located_images(domain, rows, device, shared)
    values = torch.from_numpy(labels).to(device)
    return ImageSet(name, images, values, domain.label_space, domain.name, chosen)
