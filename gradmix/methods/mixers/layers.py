"""The layers that a guided mixer compares, from a network."""

from collections.abc import Mapping
from typing import Any

from gradmix.methods.mixers.registry import mixer_part


def shared_layers(network: Any, grouping: str) -> list[Any]:
    """The backbone's layers."""
    from gradmix.mixing.layers import layers_of

    return layers_of(network.backbone, grouping=grouping)  # type: ignore[arg-type]


def head_layers(network: Any) -> list[Any]:
    """One layer per head, called by its label space (error messages and logs speak of it)."""
    from gradmix.mixing.layers import Layer

    return [
        Layer(f"head {name}", tuple(network.heads.parameters_of(name)))
        for name in network.label_spaces
    ]


def guided_options(
    network: Any, settings: Mapping[str, Any], mixer: str
) -> tuple[list[Any], dict[str, Any]]:
    """The shared layers, and the mixer's arguments: heads, the keys of ``gradmix`` that it takes, its own options."""
    unused = mixer_part(mixer).unused_gradmix_keys
    options = {key: value for key, value in settings["gradmix"].items() if key not in unused}
    grouping = options.pop("layers")
    own = settings["options"][mixer] if mixer_part(mixer).options else {}
    return shared_layers(network, grouping), {"heads": head_layers(network), **options, **own}
