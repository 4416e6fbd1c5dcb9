"""Makes a run's mixer from its network and settings."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from gradmix.methods.method import Method
from gradmix.mixing.layers import Layer, layers_of
from gradmix.mixing.mixer import GradientMixer


def make_mixer(
    method: Method,
    network: Any,
    source_names: Sequence[str],
    *,
    name: str,
    gradmix: Mapping[str, Any],
    options: Mapping[str, Any],
) -> GradientMixer:
    """The mixer of a method; one that looks at gradients weighs the backbone's layers and the heads.

    Args:
        method: names the mixer's class.
        network: a network of `gradmix.nets`.
        source_names: of the gradients that it mixes, in order.
        name: the method's, for messages.
        gradmix: options of a mixer that looks at gradients, and ``layers``, how the backbone is parted.
        options: the mixer's own.

    Raises:
        ValueError: if a weight is for a set that does not train.
    """
    module, _, kind_name = method.mixer_class.rpartition(".")
    kind = getattr(import_module(module), kind_name)
    given = {**options, **method.mixer_arguments}
    if method.mixer == "fixed_weights":
        given["weights"] = _in_order(given["weights"], name, source_names)
    if kind.needs != "losses":
        taken = {key: value for key, value in gradmix.items() if key != "layers"}
        given = {
            "layers": layers_of(network.backbone, grouping=gradmix["layers"]),
            "heads": _head_layers(network),
            **taken,
            **given,
        }
    mixer: GradientMixer = kind(source_names=source_names, **given)
    return mixer


def _head_layers(network: Any) -> list[Layer]:
    """One layer per head, called by its label space (error messages and logs speak of it)."""
    return [
        Layer(f"head {name}", tuple(network.heads.parameters_of(name)))
        for name in network.label_spaces
    ]


def _in_order(
    weights: Mapping[str, float], method: str, source_names: Sequence[str]
) -> list[float]:
    """Weights by set as one per source, 1 where none is given."""
    unknown = [name for name in weights if name not in source_names]
    if unknown:
        raise ValueError(
            f"method {method}, options.fixed_weights.weights: no set that trains is called "
            f"{unknown[0]!r}; those are {', '.join(source_names)}"
        )
    return [weights.get(name, 1.0) for name in source_names]
