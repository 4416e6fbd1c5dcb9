"""The guarded sum: V trains as well as guides, and opposing sources are turned down."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradmix.methods.mixers.layers import guided_options


def make(network: Any, settings: Mapping[str, Any], source_names: Sequence[str]) -> Any:
    """`gradmix.mixing.guarded_sum.GuardedSum` over the backbone's layers and the heads."""
    from gradmix.mixing.guarded_sum import GuardedSum

    layers, options = guided_options(network, settings, "guarded_sum")
    return GuardedSum(layers, source_names=source_names, **options)
