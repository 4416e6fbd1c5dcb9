"""The plain mean of the losses."""

from collections.abc import Mapping, Sequence
from typing import Any


def make(network: Any, settings: Mapping[str, Any], source_names: Sequence[str]) -> Any:
    """`gradmix.mixing.mean.Mean`."""
    from gradmix.mixing.mean import Mean

    return Mean(source_names=source_names)
