"""The mixer of recipes that add their losses."""

from collections.abc import Mapping, Sequence
from typing import Any


def make_sum(network: Any, settings: Mapping[str, Any], source_names: Sequence[str]) -> Any:
    """The plain sum."""
    from gradmix.mixing.sum import Sum

    return Sum(source_names=source_names)
