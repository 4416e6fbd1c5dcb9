"""The guided sum: V trains as well as guides."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradmix.methods.mixers.layers import guided_options


def make(network: Any, settings: Mapping[str, Any], source_names: Sequence[str]) -> Any:
    """`gradmix.mixing.guided_sum.GuidedSum` over the backbone's layers and the heads."""
    from gradmix.mixing.guided_sum import GuidedSum

    layers, options = guided_options(network, settings, "guided_sum")
    return GuidedSum(layers, source_names=source_names, **options)
