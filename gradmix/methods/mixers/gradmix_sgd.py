"""GradMix SGD: weights by one meta-gradient step."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradmix.methods.mixers.layers import guided_options


def make(network: Any, settings: Mapping[str, Any], source_names: Sequence[str]) -> Any:
    """`gradmix.mixing.meta_gradient.MetaGradient` over the backbone's layers and the heads."""
    from gradmix.mixing.meta_gradient import MetaGradient

    layers, options = guided_options(network, settings, "gradmix_sgd")
    return MetaGradient(layers, source_names=source_names, **options)
