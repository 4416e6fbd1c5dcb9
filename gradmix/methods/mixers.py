"""The mixers that recipes share, made from a network and the run's settings."""

from collections.abc import Mapping, Sequence
from typing import Any


def make_gradmix(
    network: Any, settings: Mapping[str, Any], source_names: Sequence[str], **overrides: Any
) -> Any:
    """GradMix over the backbone's layers and the network's heads, with the keys of ``gradmix``."""
    from gradmix.mixing.gradmix import GradMix
    from gradmix.mixing.layers import layers_of

    options = {**settings["gradmix"], **overrides}
    grouping = options.pop("layers")
    heads = [layer for head in network.heads.linear for layer in layers_of(head)]
    return GradMix(
        layers_of(network.backbone, grouping=grouping),
        heads=_named(network, heads),
        source_names=source_names,
        **options,
    )


def _named(network: Any, heads: list[Any]) -> list[Any]:
    """The same heads, each called by its label space (error messages and logs speak of it)."""
    from gradmix.mixing.layers import Layer

    return [
        Layer(f"head {name}", layer.parameters)
        for name, layer in zip(network.label_spaces, heads, strict=True)
    ]
