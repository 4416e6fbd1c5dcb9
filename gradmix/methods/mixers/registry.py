"""All mixers that recipes and configurations name. One line per mixer. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_RATE_KEYS = frozenset({"beta", "gamma", "rho", "eta_on", "eta_on_heads"})


@dataclass(frozen=True)
class MixerPart:
    """A mixer by name.

    Attributes:
        module: has ``make(network, settings, source_names) -> mixer``.
        guided: whether it weighs by the gradient on V (and so takes the keys of ``gradmix``).
        unused_gradmix_keys: keys of ``gradmix`` that do not matter to it.
        options: its own options with their defaults.
    """

    module: str
    guided: bool = False
    unused_gradmix_keys: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)


MIXERS: dict[str, MixerPart] = {
    "none": MixerPart("gradmix.methods.mixers.none"),
    "sum": MixerPart("gradmix.methods.mixers.sum"),
    "mean": MixerPart("gradmix.methods.mixers.mean"),
    "fixed_weights": MixerPart("gradmix.methods.mixers.fixed_weights", options={"weights": {}}),
    "gradmix": MixerPart("gradmix.methods.mixers.gradmix", guided=True),
    "gradmix_fixed_rate": MixerPart(
        "gradmix.methods.mixers.gradmix_fixed_rate", guided=True, unused_gradmix_keys=_RATE_KEYS
    ),
    "gradmix_sgd": MixerPart(
        "gradmix.methods.mixers.gradmix_sgd",
        guided=True,
        unused_gradmix_keys=_RATE_KEYS | {"solver"},
    ),
    "guided_sum": MixerPart(
        "gradmix.methods.mixers.guided_sum",
        guided=True,
        unused_gradmix_keys=_RATE_KEYS | {"solver", "last_layer"},
        options={"average": 0.95, "trust": 1.0},
    ),
}


def mixer_part(name: str) -> MixerPart:
    """The mixer called ``name``.

    Raises:
        ValueError: if there is none; the message lists those that exist.
    """
    if name not in MIXERS:
        raise ValueError(f"unknown mixer {name!r}; known are {', '.join(MIXERS)}")
    return MIXERS[name]
