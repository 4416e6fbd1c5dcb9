"""All mixers that recipes and configurations name. One entry per mixer. Imports no torch."""

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
        kind: dotted name of its class, which takes the keys of ``gradmix`` if guided, ``arguments`` and ``options``.
        arguments: arguments of the class that no configuration sets.
        guided: whether it weighs by the gradient on V (and so takes the keys of ``gradmix``).
        unused_gradmix_keys: keys of ``gradmix`` that do not matter to it.
        options: its own options with their defaults.
        allowed: the values of options that are words.
    """

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    guided: bool = False
    unused_gradmix_keys: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)
    allowed: Mapping[str, Sequence[str]] = field(default_factory=dict)


MIXERS: dict[str, MixerPart] = {
    "sum": MixerPart("gradmix.mixing.sum.Sum"),
    "mean": MixerPart("gradmix.mixing.mean.Mean"),
    "fixed_weights": MixerPart(
        "gradmix.mixing.fixed_weights.FixedWeights", options={"weights": {}}
    ),
    "gradmix": MixerPart("gradmix.mixing.gradmix.GradMix", guided=True),
    "gradmix_fixed_rate": MixerPart(
        "gradmix.mixing.gradmix.GradMix",
        arguments={"adaptive_rate": False},
        guided=True,
        unused_gradmix_keys=_RATE_KEYS,
    ),
    "gradmix_sgd": MixerPart(
        "gradmix.mixing.meta_gradient.MetaGradient",
        guided=True,
        unused_gradmix_keys=_RATE_KEYS | {"solver", "average"},
    ),
    "guided_sum": MixerPart(
        "gradmix.mixing.guided_sum.GuidedSum",
        guided=True,
        unused_gradmix_keys=_SUM_KEYS,
        options={"average": 0.95, "trust": 1.0},
    ),
    "guarded_sum": MixerPart(
        "gradmix.mixing.guarded_sum.GuardedSum",
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
