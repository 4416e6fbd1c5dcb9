"""Parts the target's images into V, H, U and test, and leaves some out so that nothing leaks between them.

A unit (see `gradmix.grouping`) is what is never parted: images with equal content, of one group or of one clip.
Numbers per class count samples: images, or clips with all their frames. N images of the target domain.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradmix.domains.format import Domain
from gradmix.grouping import (
    group_scopes,
    identities,
    recognised,
    samples_of,
    units_of,
    whole_units,
)
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
    """Make the split of one draw, as it is written to disk.

    Test and H depend on the seed alone, so they are the same for all draws and k. V depends on seed and draw, and
    grows with k: V at k = 2 is part of V at k = 3. U is the rest. A unit goes to one set only; what a set does
    not take of a unit that it touches is left out. Sources lose every image that the target or the test set
    holds too, whatever the draw and k, because a method without target labels is trained once for all k.

    Args:
        target: the target domain.
        test: a domain of test images, or ``None``: they are cut from the target domain.
        sources: source domains by name; their labels are not looked at.
        labels_per_class: k; 0, which leaves V empty, is for methods that see no target label.
        draw: number of the draw.
        seed: the experiment's seed.
        hyper_validation_per_class: labelled samples per class in H.
        test_per_class: test samples per class; ``None`` with a test domain: all of it.

    Raises:
        ValueError: if a class has too few images for test, H or V, nothing is left for U, or the test domain
            has other classes than the target.
    """
    wanted = {
        "labels_per_class": labels_per_class,
        "target.hyper_validation_per_class": hyper_validation_per_class,
        "target.test_per_class": test_per_class,
    }
    for key, value in wanted.items():
        least = 0 if key == "labels_per_class" else 1
        if value is not None and value < least:
            raise ValueError(f"{key} must be at least {least}, but got {value}")
    first_source = 1 if test is None else 2
    scopes = group_scopes([target, *([] if test is None else [test]), *sources.values()])
    units = units_of(target.index)
    free = np.ones(len(target), dtype=bool)

    # Test first: what it touches may be in no other set.
    if test is None:
        if test_per_class is None:
            raise ValueError("target.test_per_class is needed where there is no target.test_domain")
        order = _order(len(target), derive_seed(seed, "test"))
        test_rows = _pick(target, units, order, free, test_per_class, "target.test_per_class")
        free &= ~whole_units(units, test_rows)
        held = _identities(target, scopes[0])
    else:
        test_rows, test_ids = _from_test_domain(target, test, test_per_class, seed, scopes[1])
        free &= ~recognised(target.index, scopes[0], test_ids)
        held = _identities(target, scopes[0]) | test_ids

    key = "target.hyper_validation_per_class"
    order = _order(len(target), derive_seed(seed, "H"))
    h_rows = _pick(target, units, order, free, hyper_validation_per_class, key)
    free &= ~whole_units(units, h_rows)

    order = _order(len(target), derive_seed(seed, "V", draw))
    v_rows = _pick(target, units, order, free, labels_per_class, "labels_per_class", spread=True)
    free &= ~whole_units(units, v_rows)

    if not free.any():
        in_target = len(test_rows) if test is None else 0
        raise ValueError(
            f"domain {target.name}: of its {len(target)} images none is left for U "
            f"(test {in_target}, H {len(h_rows)}, V {len(v_rows)}; the rest shares content or groups with these)"
        )
    used = free.copy()
    used[[*h_rows, *v_rows, *(test_rows if test is None else [])]] = True
    sets = {
        "V": v_rows.tolist(),
        "H": h_rows.tolist(),
        "U": np.flatnonzero(free).tolist(),
        "left_out": np.flatnonzero(~used).tolist(),
        "test": test_rows.tolist(),
    }
    source_left_out = {
        name: np.flatnonzero(recognised(source.index, scope, held)).tolist()
        for (name, source), scope in zip(sources.items(), scopes[first_source:], strict=True)
    }
    return {
        "labels_per_class": labels_per_class,
        "draw": draw,
        "seed": seed,
        "target": target.name,
        "test_domain": (target if test is None else test).name,
        "label_space": target.label_space,
        "classes": target.classes,
        **sets,
        "source_left_out": source_left_out,
        "counts": {name: len(rows) for name, rows in sets.items()},
    }


def check_split(
    split: Mapping[str, Any],
    target: Domain,
    test: Domain | None = None,
    sources: Mapping[str, Domain] | None = None,
) -> None:
    """Prove from the domains' files that no image and no group stands in two sets, source images included.

    Args:
        split: from `make_split`.
        target: the domain that it splits.
        test: the test domain; ``None`` leaves a test domain of its own out of the proof, since training may not
            open it.
        sources: source domains by name. Two sources may share images with each other.

    Raises:
        ValueError: if the split is another domain's, or naming two sets and what they share.
    """
    if split["target"] != target.name:
        raise ValueError(
            f"the split is of domain {split['target']}, but the target is {target.name}"
        )
    sources = sources or {}
    first_source = 1 if test is None else 2
    scopes = group_scopes([target, *([] if test is None else [test]), *sources.values()])
    owner: dict[str, str] = {}

    def claim(name: str, domain: Domain, rows: np.ndarray, scope: int, *, keep: bool) -> None:
        if len(rows) and (rows.min() < 0 or rows.max() >= len(domain)):
            raise ValueError(
                f"{name} names image {rows.max()} of {domain.name}, which has {len(domain)}"
            )
        ids = _identities(domain, scope, rows)
        for shared in sorted(ids & owner.keys()):
            raise ValueError(f"draw {split['draw']}: {owner[shared]} and {name} share {shared}")
        if keep:
            owner.update(dict.fromkeys(ids, name))

    for name in ("V", "H", "U"):
        claim(name, target, np.asarray(split[name], dtype=np.int64), scopes[0], keep=True)
    test_rows = np.asarray(split["test"], dtype=np.int64)
    if split["test_domain"] == target.name:
        claim("test", target, test_rows, scopes[0], keep=True)
    elif test is not None:
        claim("test", test, test_rows, scopes[1], keep=True)
    for (name, source), scope in zip(sources.items(), scopes[first_source:], strict=True):
        kept = np.setdiff1d(np.arange(len(source)), split["source_left_out"].get(name, []))
        claim(f"source {name}", source, kept, scope, keep=False)


def labels_for_training(split: Mapping[str, Any], domain: Domain) -> np.ndarray:
    """Give the labels that training may see, (N,) int64: those of V and H, and -1 for all others."""
    labels = np.full(len(domain), -1, dtype=np.int64)
    known = [*split["V"], *split["H"]]
    labels[known] = np.asarray(domain.labels)[known]
    return labels


def _order(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(count)


def _pick(
    domain: Domain,
    units: np.ndarray,
    order: np.ndarray,
    free: np.ndarray,
    per_class: int,
    key: str,
    *,
    spread: bool = False,
) -> np.ndarray:
    """Pick ``per_class`` free samples of each class, in the given order of preference; sorted rows, all frames.

    ``spread``: of distinct units while there are any (the few labels should not be copies of one image);
    otherwise unit by unit, so that as few units as possible are touched and little is left out.
    """
    labels = np.asarray(domain.labels)
    samples = samples_of(domain.index)
    candidates = order[free[order]]
    # A clip stands in the order where its first frame there does; its frames share a unit, so all are free or none.
    candidates = candidates[np.sort(np.unique(samples[candidates], return_index=True)[1])]
    _, first, unit = np.unique(units[candidates], return_index=True, return_inverse=True)
    by_unit = candidates[np.argsort(first[unit], kind="stable")]
    picked = []
    for label, name in enumerate(domain.classes):
        rows = by_unit[labels[by_unit] == label]
        if len(rows) < per_class:
            all_of_class = np.unique(samples[labels == label])
            what = "images" if len(all_of_class) == (labels == label).sum() else "clips"
            raise ValueError(
                f"{key} is {per_class}, but class {name} of domain {domain.name} has "
                f"{len(all_of_class)} {what}, of which {len(rows)} are left for it"
            )
        if spread:
            is_first = np.zeros(len(rows), dtype=bool)
            is_first[np.unique(units[rows], return_index=True)[1]] = True
            rows = np.concatenate([rows[is_first], rows[~is_first]])
        picked.append(rows[:per_class])
    chosen = np.isin(samples, samples[np.concatenate(picked)])
    return np.flatnonzero(chosen)


def _from_test_domain(
    target: Domain, test: Domain, per_class: int | None, seed: int, scope: int
) -> tuple[np.ndarray, set[str]]:
    """Pick test rows from a test domain, with the identities of all images of the units that they touch."""
    spaces = [(domain.label_space, len(domain.classes)) for domain in (test, target)]
    if spaces[0] != spaces[1]:  # their origins may call the same classes differently
        (own, count), (expected, expected_count) = spaces
        raise ValueError(
            f"target.test_domain {test.name} has {count} classes of label space {own}, "
            f"but the target {target.name} has {expected_count} of {expected}"
        )
    if per_class is None:
        return np.arange(len(test)), _identities(test, scope)
    units = units_of(test.index)
    order = _order(len(test), derive_seed(seed, "test"))
    everything = np.ones(len(test), dtype=bool)
    rows = _pick(test, units, order, everything, per_class, "target.test_per_class")
    return rows, _identities(test, scope, whole_units(units, rows))


def _identities(domain: Domain, scope: int, rows: np.ndarray | slice = slice(None)) -> set[str]:
    return identities(domain.column("content")[rows], domain.column("group")[rows], scope)
