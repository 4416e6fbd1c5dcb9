"""Where a set's images lie while a network trains: on the GPU where they fit, else in the domain's file."""

import numpy as np
import torch
from torch import Tensor

from gradmix.domains.format import Domain

Located = dict[tuple[str, torch.device], Tensor]
"""All images of a domain by its file and the device, for sets that share them."""

_CHUNK_BYTES = 2**28
# The rest of a GPU's free memory is left to activations and gradients.
_SHARE = 0.5


def located_images(
    domain: Domain, rows: np.ndarray, device: torch.device, shared: Located | None = None
) -> tuple[Tensor, Tensor | None]:
    """The images of these rows as (M,H,W,C) uint8, and which of the M are meant ((n,) int64; ``None``: all).

    On the CPU nothing is read here: the tensor is the memory-mapped file, whose pages the operating system reads
    when a batch asks for them and drops when memory is short. On a GPU the rows are copied there, unless they
    would take more than half of what is free; then the file serves too. With ``shared`` the whole domain goes
    where the rows would, once for all sets that are given the same one.
    """
    chosen = torch.from_numpy(np.asarray(rows, dtype=np.int64))
    if shared is None:
        if _fits(domain, len(rows), device):
            return _copied(domain.images, rows, device), None
        return mapped(domain), chosen
    key = (str(getattr(domain.images, "filename", domain.name)), device)
    if key not in shared:
        every = np.arange(len(domain))
        fits = _fits(domain, len(domain), device)
        shared[key] = _copied(domain.images, every, device) if fits else mapped(domain)
    return shared[key], chosen.to(shared[key].device)


def _fits(domain: Domain, count: int, device: torch.device) -> bool:
    size = int(np.prod(domain.images.shape[1:])) * count
    return device.type == "cuda" and size <= _SHARE * torch.cuda.mem_get_info(device)[0]


def mapped(domain: Domain) -> Tensor:
    """All images of a domain as a tensor on the file itself, (N,H,W,C) uint8.

    The mapping is private: what would be written to it never reaches the file.
    """
    images = domain.images
    assert isinstance(images, np.memmap)
    path = str(images.filename)
    whole = torch.from_file(path, shared=False, size=images.offset + images.size, dtype=torch.uint8)
    return whole[images.offset :].view(images.shape)


def _copied(images: np.ndarray, rows: np.ndarray, device: torch.device) -> Tensor:
    """A chunk at a time, so that the host never holds all of them."""
    shape = images.shape[1:]
    copy = torch.empty((len(rows), *shape), dtype=torch.uint8, device=device)
    step = max(1, _CHUNK_BYTES // int(np.prod(shape)))
    for start in range(0, len(rows), step):
        chunk = np.ascontiguousarray(images[rows[start : start + step]])
        copy[start : start + len(chunk)].copy_(torch.from_numpy(chunk))
    return copy
