"""Which target images are V, H, U and test, and which are left out so that nothing leaks between them.

A unit is what is never parted: images with equal content or of one group (frames of a clip, near-duplicates).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradmix.domains.format import Domain
from gradmix.seeds import derive_seed

Split = dict[str, Any]


def make_split(
    target: Domain,
    test: Domain | None,
    sources: Mapping[str, Domain],
    *,
    labels_per_class: int,
    draw: int,
    seed: int,
    hyper_validation_per_class: int,
    test_per_class: int | None = None,
) -> Split:
    """The split of one draw, as it is written to disk.

    H depends on the seed alone, so it is the same for all draws and numbers of labels. V depends on seed and draw, and
    grows with k: V at k = 2 is part of V at k = 3. U is the rest. Whole units go to one set; what is left of a
    unit after its picks is left out.

    Args:
        target: the target domain.
        test: a domain of test images, or ``None``: they are cut from the target domain.
        sources: source domains by name; only their content is looked at.
        labels_per_class: k.
        draw: number of the draw.
        seed: the experiment's seed.
        hyper_validation_per_class: labelled images per class in H.
        test_per_class: test images per class; ``None`` with a test domain: all.

    Raises:
        ValueError: if a class has too few images for test, H or V, or nothing is left for U.
    """
    units = units_of(target.index)
    free = np.ones(len(target), dtype=bool)
    left_out = np.zeros(len(target), dtype=bool)

    # Test first: what is in it may be in nothing else.
    if test is None:
        if test_per_class is None:
            raise ValueError("target.test_per_class must be given where there is no target.test_domain")
        order = np.random.default_rng(derive_seed(seed, "test")).permutation(len(target))
        test_rows = _pick(target, units, order, free, test_per_class, "target.test_per_class")
        _close(units, test_rows, free, left_out)
        test_index = target.index.iloc[test_rows]
    else:
        test_rows = _test_rows(test, test_per_class, seed)
        test_index = test.index.iloc[test_rows]
        duplicates = np.isin(units, units[target.index["content"].isin(test_index["content"])])
        free = free & ~duplicates
        left_out = left_out | duplicates

    order = np.random.default_rng(derive_seed(seed, "H")).permutation(len(target))
    h_rows = _pick(target, units, order, free, hyper_validation_per_class, "target.hyper_validation_per_class")
    _close(units, h_rows, free, left_out)

    order = np.random.default_rng(derive_seed(seed, "V", draw)).permutation(len(target))
    v_rows = _pick(target, units, order, free, labels_per_class, "labels_per_class")
    _close(units, v_rows, free, left_out)

    u_rows = np.flatnonzero(free)
    if len(u_rows) == 0:
        raise ValueError(f"domain {target.name}: no image is left for U after test, H and V")
    used = set(test_index["content"]) | set(target.index["content"][~left_out])
    groups = {group for group in [*test_index["group"], *target.index["group"]] if group}
    source_left_out = {
        name: _leaking(source, target, used, groups) for name, source in sources.items()
    }
    split: Split = {
        "labels_per_class": labels_per_class,
        "draw": draw,
        "seed": seed,
        "target": target.name,
        "test_domain": (test or target).name,
        "label_space": target.label_space,
        "classes": target.classes,
        "V": sorted(v_rows.tolist()),
        "H": sorted(h_rows.tolist()),
        "U": u_rows.tolist(),
        "left_out": np.flatnonzero(left_out).tolist(),
        "test": sorted(test_rows.tolist()),
        "source_left_out": source_left_out,
    }
    split["counts"] = {name: len(split[name]) for name in ("V", "H", "U", "left_out", "test")}
    return split


def check_split(
    split: Split, target: Domain, test: Domain | None = None, sources: Mapping[str, Domain] | None = None
) -> None:
    """Prove from the files that no image and no group stands in two sets.

    Raises:
        ValueError: naming two sets and an image that they share.
    """
    parts = {name: target.index.iloc[split[name]] for name in ("V", "H", "U")}
    if split["test_domain"] == target.name:
        parts["test"] = target.index.iloc[split["test"]]
    elif test is not None:
        parts["test"] = test.index.iloc[split["test"]]
    for name, source in (sources or {}).items():
        keep = np.ones(len(source), dtype=bool)
        keep[split["source_left_out"].get(name, [])] = False
        parts[name] = source.index[keep]
    names = list(parts)
    seen: dict[str, str] = {}
    target_sets = ("V", "H", "U", "test")
    for name in names:
        keys = set("image " + parts[name]["content"])
        if name in target_sets and not (name == "test" and split["test_domain"] != target.name):
            keys |= {f"group {group}" for group in parts[name]["group"] if group}
        for key in keys:
            other = seen.get(key)
            # Two sources may share images with each other: neither is held back from anything.
            if other is not None and (other in target_sets or name in target_sets):
                raise ValueError(f"draw {split['draw']}: {other} and {name} share {key}")
        seen.update(dict.fromkeys(keys, name))


def labels_for_training(split: Split, domain: Domain) -> np.ndarray:
    """The target's labels with all but those of V and H as -1: what training may see, (N,) int64."""
    labels = np.full(len(domain), -1, dtype=np.int64)
    known = [*split["V"], *split["H"]]
    labels[known] = np.asarray(domain.labels)[known]
    return labels


def units_of(index: pd.DataFrame) -> np.ndarray:
    """Number of each image's unit, (N,): images with equal content or equal non-empty group are in one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(index)
    content, _ = pd.factorize(index["content"])
    group, _ = pd.factorize(index["group"])
    grouped = np.flatnonzero(index["group"].to_numpy() != "")
    rows = np.concatenate([np.arange(count), grouped])
    offset = count + content.max() + 1
    keys = np.concatenate([count + content, offset + group[grouped]])
    size = int(keys.max()) + 1
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, keys)), shape=(size, size))
    return connected_components(graph, directed=False)[1][:count]


def _pick(
    domain: Domain, units: np.ndarray, order: np.ndarray, free: np.ndarray, per_class: int, key: str
) -> np.ndarray:
    """``per_class`` free images of each class in the given order, of distinct units while there are any."""
    labels = np.asarray(domain.labels)
    candidates = order[free[order]]
    # One image of each unit first, the others behind.
    _, first = np.unique(units[candidates], return_index=True)
    is_first = np.zeros(len(candidates), dtype=bool)
    is_first[first] = True
    candidates = np.concatenate([candidates[is_first], candidates[~is_first]])
    picked = []
    for label, name in enumerate(domain.classes):
        rows = candidates[labels[candidates] == label]
        if len(rows) < per_class:
            raise ValueError(
                f"{key} is {per_class}, but only {len(rows)} labelled images of class {name} "
                f"of domain {domain.name} are left for it"
            )
        picked.append(rows[:per_class])
    return np.concatenate(picked)


def _close(units: np.ndarray, picked: np.ndarray, free: np.ndarray, left_out: np.ndarray) -> None:
    """Take the picked images' whole units out of what is free; the unpicked part of them is left out."""
    touched = np.isin(units, units[picked])
    left_out |= touched & free
    left_out[picked] = False
    free &= ~touched


def _test_rows(test: Domain, per_class: int | None, seed: int) -> np.ndarray:
    if per_class is None:
        return np.arange(len(test))
    order = np.random.default_rng(derive_seed(seed, "test")).permutation(len(test))
    everything = np.ones(len(test), dtype=bool)
    return _pick(test, units_of(test.index), order, everything, per_class, "target.test_per_class")


def _leaking(source: Domain, target: Domain, content: set[str], groups: set[str]) -> list[int]:
    leaks = source.index["content"].isin(content).to_numpy()
    if source.info.get("sources") == target.info.get("sources"):
        leaks = leaks | source.index["group"].isin(groups).to_numpy()
    return np.flatnonzero(leaks).tolist()


