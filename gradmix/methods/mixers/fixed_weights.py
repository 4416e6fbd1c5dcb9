"""The sum of the losses, each times a weight that is given: ``options.fixed_weights.weights``, by set, 1 by default."""

from collections.abc import Mapping, Sequence
from typing import Any


def make(network: Any, settings: Mapping[str, Any], source_names: Sequence[str]) -> Any:
    """`gradmix.mixing.fixed_weights.FixedWeights`.

    Raises:
        ValueError: if a weight is for a set that does not train.
    """
    from gradmix.mixing.fixed_weights import FixedWeights

    weights = settings["options"]["fixed_weights"]["weights"]
    unknown = [name for name in weights if name not in source_names]
    if unknown:
        raise ValueError(
            f"method {settings['name']}, options.fixed_weights.weights: no set that trains is called "
            f"{unknown[0]!r}; those are {', '.join(source_names)}"
        )
    return FixedWeights(
        weights=[weights.get(name, 1.0) for name in source_names], source_names=source_names
    )
