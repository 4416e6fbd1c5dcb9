"""All loss terms that recipes and configurations name. One entry per term. Imports no torch.

A term's name is that of its module in this package, which has ``make(options) -> Term``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gradmix.terms.options import Option, defaults


@dataclass(frozen=True)
class TermPart:
    """Describes a loss term before it is built.

    Attributes:
        takes: its options.
        on_unlabelled: whether it takes images of U, so that a configuration may add it to a method (``terms``).
        own_optimizer: whether it trains parameters that the mixer's gradients do not hold, which several ranks
            would train apart.
        reads_features: whether its mini-batch may take part in a joint forward pass; as in the term's class.
    """

    takes: Mapping[str, Option] = field(default_factory=dict)
    on_unlabelled: bool = False
    own_optimizer: bool = False
    reads_features: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """Its options with their defaults."""
        return defaults(self.takes)


_CHANGE = {
    "shift": Option(3.0, "non_negative"),
    "rotation": Option(15.0, "non_negative"),
    "scale": Option(0.15, "below_one"),
    "shear": Option(0.2, "non_negative"),
}

TERMS: dict[str, TermPart] = {
    "cross_entropy": TermPart(reads_features=True),
    "augmented_cross_entropy": TermPart(takes=_CHANGE),
    "soft_labels": TermPart(reads_features=True),
    "entropy": TermPart(
        takes={"weight": Option(0.1, "non_negative")}, on_unlabelled=True, reads_features=True
    ),
    "energy": TermPart(
        takes={
            "learning_rate": Option(0.001, "positive"),
            "margin": Option(1.0, "non_negative"),
            "triplet_margin": Option(0.2, "non_negative"),
        },
        own_optimizer=True,
    ),
    "minimax_entropy": TermPart(
        takes={"weight": Option(0.1, "non_negative")}, on_unlabelled=True, reads_features=True
    ),
    "vat": TermPart(
        takes={
            "weight": Option(1.0, "non_negative"),
            "epsilon": Option(5.0, "positive"),
            "xi": Option(0.01, "positive"),
            "iterations": Option(1, "count"),
        },
        on_unlabelled=True,
        reads_features=True,
    ),
    "mixmatch": TermPart(
        takes={
            "weight": Option(25.0, "non_negative"),
            "ramp": Option(0.32, "non_negative"),
            "augmentations": Option(2, "count"),
            "temperature": Option(0.5, "positive"),
            "alpha": Option(0.75, "positive"),
            "shift": Option(2, "natural"),
            "labelled": Option(False, "flag"),
        },
        on_unlabelled=True,
    ),
    "self_labels": TermPart(
        takes={
            "threshold": Option(0.8, "below_one"),
            "warm_up": Option(0.25, "share"),
            "average": Option(0.98, "below_one"),
            **_CHANGE,
        },
        on_unlabelled=True,
    ),
    "dctn": TermPart(
        takes={
            "threshold": Option(0.9, "share"),
            "warm_up": Option(0.125, "share"),
            "learning_rate": Option(0.001, "positive"),
            "hidden": Option(500, "count"),
            "weight": Option(1.0, "non_negative"),
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
