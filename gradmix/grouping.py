"""Units that a split may not part: images with equal content, images of one group, and frames of one clip.

Groups (clips of one recording, near-duplicate photographs) have names that mean something within the files that they
were read from; two domains share group names only if they were cut from a common file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradmix.domains.format import Domain

if TYPE_CHECKING:
    import pandas as pd


def units_of(index: pd.DataFrame) -> np.ndarray:
    """Number each image's unit, (N,): images of equal content, of one group or of one clip are in one.

    The relations chain: if a and b have equal content, and b and c are of one group, all three are one unit.
    """
    import pandas as pd
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # A graph with a node per image, and one per content, group and clip; units are its connected components.
    count = size = len(index)
    images, keys = [], []
    for column in ("content", "group", "clip"):
        named = np.flatnonzero(index[column].to_numpy() != "")
        code_n, names = pd.factorize(index[column].to_numpy()[named])
        images.append(named)
        keys.append(size + code_n)
        size += len(names)
    edges = (np.concatenate(images), np.concatenate(keys))
    graph = coo_array((np.ones(len(edges[0]), dtype=np.int8), edges), shape=(size, size))
    units: np.ndarray = connected_components(graph, directed=False)[1][:count]
    return units


def samples_of(index: pd.DataFrame) -> np.ndarray:
    """Number what counts as one labelled sample, (N,): an image, or the clip that a frame belongs to."""
    import pandas as pd

    clip_N = index["clip"].to_numpy(dtype=object)
    alone = clip_N == ""
    samples: np.ndarray = np.arange(len(index))
    if not alone.all():
        # A clip is called by its first frame.
        code_n, clips = pd.factorize(clip_N[~alone])
        first = np.full(len(clips), len(index))
        np.minimum.at(first, code_n, np.flatnonzero(~alone))
        samples[~alone] = first[code_n]
    return samples


def whole_units(units: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mark the images that belong to a unit of the given rows (indices or a mask), (N,) bool."""
    return np.isin(units, units[rows])


def group_scopes(domains: Sequence[Domain]) -> list[int]:
    """Number the domains; those with equal numbers were read, directly or by a chain, from common files."""
    scopes = list(range(len(domains)))
    reader: dict[str, int] = {}
    for number, domain in enumerate(domains):
        for content in dict(domain.info.get("sources") or {}).values():
            first = reader.setdefault(str(content), number)
            old, new = scopes[number], scopes[first]
            scopes = [new if scope == old else scope for scope in scopes]
    return scopes


def identities(contents: Iterable[str], groups: Iterable[str], scope: int) -> set[str]:
    """Name all by which images are recognised in another set: contents, and groups within their scope."""
    named = {f"content {content}" for content in contents}
    return named | {f"group {group!r} of files {scope}" for group in set(groups) if group}


def recognised(index: pd.DataFrame, scope: int, known: set[str]) -> np.ndarray:
    """Mark images that have, or whose unit has, one of the known `identities`, (N,) bool."""
    hit = np.array([f"content {content}" in known for content in index["content"]], dtype=bool)
    hit |= np.array(
        [bool(group) and f"group {group!r} of files {scope}" in known for group in index["group"]],
        dtype=bool,
    )
    return whole_units(units_of(index), hit)
