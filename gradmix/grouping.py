"""What may not be parted by a split: images with equal content, and images of one group.

Groups (frames of a clip, near-duplicate photographs) have names that mean something within the files that they
were read from; two domains share group names only if they were cut from a common file.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gradmix.domains.format import Domain


def units_of(index: pd.DataFrame) -> np.ndarray:
    """Number of each image's unit, (N,): images with equal content or equal non-empty group are in one.

    Both relations chain: if a and b have equal content, and b and c are of one group, all three are one unit.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # A graph with a node per image, per content and per group; units are its connected components.
    count = len(index)
    content_N, contents = pd.factorize(index["content"])
    group_N, groups = pd.factorize(index["group"])
    grouped = np.flatnonzero(index["group"].to_numpy() != "")
    images = np.concatenate([np.arange(count), grouped])
    keys = np.concatenate([count + content_N, count + len(contents) + group_N[grouped]])
    size = count + len(contents) + len(groups)
    graph = coo_array((np.ones(len(images), dtype=np.int8), (images, keys)), shape=(size, size))
    units: np.ndarray = connected_components(graph, directed=False)[1][:count]
    return units


def whole_units(units: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Which images belong to a unit of the given rows (indices or a mask), (N,) bool."""
    return np.isin(units, units[rows])


def group_scopes(domains: Sequence[Domain]) -> list[int]:
    """A number per domain; domains with equal numbers were read, directly or by a chain, from common files."""
    scopes = list(range(len(domains)))
    reader: dict[str, int] = {}
    for number, domain in enumerate(domains):
        for content in dict(domain.info.get("sources") or {}).values():
            first = reader.setdefault(str(content), number)
            old, new = scopes[number], scopes[first]
            scopes = [new if scope == old else scope for scope in scopes]
    return scopes


def identities(index: pd.DataFrame, scope: int) -> set[str]:
    """All by which an image could be found again in another set: contents, and groups within their scope."""
    contents = {f"content {content}" for content in index["content"]}
    return contents | {f"group {group!r} of files {scope}" for group in index["group"] if group}


def found_again(index: pd.DataFrame, scope: int, known: set[str]) -> np.ndarray:
    """Which images, or any image of their unit, have one of the known `identities`, (N,) bool."""
    hit = np.array([f"content {content}" in known for content in index["content"]], dtype=bool)
    hit |= np.array(
        [bool(group) and f"group {group!r} of files {scope}" in known for group in index["group"]],
        dtype=bool,
    )
    return whole_units(units_of(index), hit)
