"""The plain sum of the losses."""

from collections.abc import Mapping, Sequence
from typing import Any


def make(network: Any, settings: Mapping[str, Any], source_names: Sequence[str]) -> Any:
    """`gradmix.mixing.sum.Sum`."""
    from gradmix.mixing.sum import Sum

    return Sum(source_names=source_names)
