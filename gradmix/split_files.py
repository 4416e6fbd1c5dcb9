"""The splits of several draws, from domains on disk to JSON and back."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gradmix.domains.format import Domain, open_domain
from gradmix.files import read_json, write_json
from gradmix.splits import Split, check_split, make_split


def write_splits(
    folders: Mapping[str, Path],
    settings: Mapping[str, Any],
    *,
    labels_per_class: int,
    outputs: Mapping[int, str | Path],
    log: Callable[[str], None],
) -> None:
    """Write a split for every draw (see `make_split`).

    Args:
        folders: the domains' folders by name.
        settings: target, test_domain, sources, seed and sizes (`Config.split_settings`).
        labels_per_class: k.
        outputs: the file of every draw.
        log: gets the sizes of each split.

    Raises:
        ValueError: if the domains hold too few images, or a split would leak.
    """
    domains = {name: open_domain(folder) for name, folder in folders.items()}
    target = domains[settings["target"]]
    test = domains[settings["test_domain"]] if settings["test_domain"] else None
    sources = {name: domains[name] for name in settings["sources"]}
    for draw, output in outputs.items():
        split = make_split(
            target,
            test,
            sources,
            labels_per_class=labels_per_class,
            draw=draw,
            seed=settings["seed"],
            hyper_validation_per_class=settings["hyper_validation_per_class"],
            test_per_class=settings["test_per_class"],
        )
        # Training may not open a test domain, so what concerns it is proved here.
        check_split(split, target, test, sources)
        log(f"draw {draw}: " + ", ".join(f"{k}: {n}" for k, n in split["counts"].items()))
        write_json(output, split)


def read_split(
    path: str | Path,
    target: Domain,
    test: Domain | None = None,
    sources: Mapping[str, Domain] | None = None,
) -> Split:
    """Read a split, and prove that it is the target's and does not leak (see `check_split`).

    Args:
        path: of the split.
        target: the target domain.
        test: the domain of the test rows, which may be the target; ``None`` where it may not be opened.
        sources: source domains by name.

    Raises:
        ValueError: names the file, and what is wrong with it.
    """
    split: Split = read_json(path)
    own_test = None if test is None or test.name == target.name else test
    try:
        check_split(split, target, own_test, sources)
        if test is not None and test.name != split["test_domain"]:
            raise ValueError(
                f"its test images are of domain {split['test_domain']}, and not of {test.name}"
            )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return split
