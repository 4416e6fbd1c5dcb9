"""All loss terms that recipes and configurations name. One entry per term. Imports no torch.

A term's name is that of its module in this package, which has ``make(options) -> Term``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TermPart:
    """Describes a loss term before it is built.

    Attributes:
        options: its options with their defaults.
        on_unlabelled: whether it takes images of U, so that a configuration may add it to a method (``terms``).
        own_optimizer: whether it trains parameters that the mixer's gradients do not hold, which several ranks
            would train apart.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    on_unlabelled: bool = False
    own_optimizer: bool = False


TERMS: dict[str, TermPart] = {
    "cross_entropy": TermPart(),
    "augmented_cross_entropy": TermPart(
        options={"shift": 3.0, "rotation": 15.0, "scale": 0.15, "shear": 0.2},
    ),
    "soft_labels": TermPart(),
    "entropy": TermPart(options={"weight": 0.1}, on_unlabelled=True),
    "energy": TermPart(
        options={"learning_rate": 0.001, "margin": 1.0, "triplet_margin": 0.2},
        own_optimizer=True,
    ),
    "minimax_entropy": TermPart(options={"weight": 0.1}, on_unlabelled=True),
    "vat": TermPart(
        options={"weight": 1.0, "epsilon": 5.0, "xi": 0.01, "iterations": 1},
        on_unlabelled=True,
    ),
    "mixmatch": TermPart(
        options={
            "weight": 25.0,
            "ramp": 0.32,
            "augmentations": 2,
            "temperature": 0.5,
            "alpha": 0.75,
            "shift": 2,
            "labelled": False,
        },
        on_unlabelled=True,
    ),
    "self_labels": TermPart(
        options={
            "threshold": 0.8,
            "warm_up": 0.25,
            "average": 0.98,
            "shift": 3.0,
            "rotation": 15.0,
            "scale": 0.15,
            "shear": 0.2,
        },
        on_unlabelled=True,
    ),
    "dctn": TermPart(
        options={
            "threshold": 0.9,
            "warm_up": 0.125,
            "learning_rate": 0.001,
            "hidden": 500,
            "weight": 1.0,
        },
        on_unlabelled=True,
        own_optimizer=True,
    ),
}


def term_part(name: str) -> TermPart:
    """Look up the description of a term.

    Raises:
        ValueError: if there is none; the message lists those that exist.
    """
    if name not in TERMS:
        raise ValueError(f"unknown term {name!r}; known are {', '.join(TERMS)}")
    return TERMS[name]
