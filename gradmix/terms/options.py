"""Options of terms and mixers: their defaults, and which values they take. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "positive", "non_negative", "below_one", "share", "count", "natural", "flag", "weights"
]
"""Numbers above 0, from 0, in [0, 1) and in [0, 1]; whole numbers from 1 and from 0; true or false; weights by set."""


@dataclass(frozen=True)
class Option:
    """An option of a term or mixer.

    Attributes:
        default: its value where the configuration gives none.
        takes: the kind of value, or the words that it may be.
    """

    default: Any
    takes: Kind | tuple[str, ...]


def defaults(options: Mapping[str, Option]) -> dict[str, Any]:
    """Give every option its default."""
    return {name: option.default for name, option in options.items()}
