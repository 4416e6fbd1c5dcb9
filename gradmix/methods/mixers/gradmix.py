"""GradMix as configured."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradmix.methods.mixers.layers import guided_options


def make(
    network: Any, settings: Mapping[str, Any], source_names: Sequence[str], **overrides: Any
) -> Any:
    """`gradmix.mixing.gradmix.GradMix` over the backbone's layers and the heads, with the keys of ``gradmix``."""
    from gradmix.mixing.gradmix import GradMix

    layers, options = guided_options(network, settings, "gradmix")
    return GradMix(layers, source_names=source_names, **{**options, **overrides})
