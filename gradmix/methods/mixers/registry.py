"""All mixers that recipes and configurations name. One line per mixer. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_RATE_KEYS = frozenset({"beta", "gamma", "rho", "eta_on", "eta_on_heads"})
# Of mixers in which V trains every layer, at a fixed rate, and which average by an option of their own.
_SUM_KEYS = _RATE_KEYS | {"solver", "last_layer", "average"}


@dataclass(frozen=True)
class MixerPart:
    """A mixer by name.

    Attributes:
        module: has ``make(network, settings, source_names) -> mixer``.
        guided: whether it weighs by the gradient on V (and so takes the keys of ``gradmix``).
        unused_gradmix_keys: keys of ``gradmix`` that do not matter to it.
        options: its own options with their defaults.
        allowed: the values of options that are words.
    """

    module: str
    guided: bool = False
    unused_gradmix_keys: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)
    allowed: Mapping[str, Sequence[str]] = field(default_factory=dict)


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
        unused_gradmix_keys=_RATE_KEYS | {"solver", "average"},
    ),
    "guided_sum": MixerPart(
        "gradmix.methods.mixers.guided_sum",
        guided=True,
        unused_gradmix_keys=_SUM_KEYS,
        options={"average": 0.95, "trust": 1.0},
    ),
    "guarded_sum": MixerPart(
        "gradmix.methods.mixers.guarded_sum",
        guided=True,
        unused_gradmix_keys=_SUM_KEYS,
        options={"average": 0.95, "per": "layer"},
        allowed={"per": ("layer", "source")},
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
