"""The splits of several draws, from domains on disk to JSON."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gradmix.domains.format import open_domain
from gradmix.files import write_json
from gradmix.splits import check_split, make_split


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
