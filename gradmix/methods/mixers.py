"""All mixers that recipes and configurations name. One entry per mixer. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gradmix.terms.options import Option, defaults

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
        takes: its own options.
    """

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    guided: bool = False
    unused_gradmix_keys: frozenset[str] = frozenset()
    takes: Mapping[str, Option] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """Its own options with their defaults."""
        return defaults(self.takes)


MIXERS: dict[str, MixerPart] = {
    "sum": MixerPart("gradmix.mixing.sum.Sum"),
    "mean": MixerPart("gradmix.mixing.mean.Mean"),
    "fixed_weights": MixerPart(
        "gradmix.mixing.fixed_weights.FixedWeights", takes={"weights": Option({}, "weights")}
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
        takes={"average": Option(0.95, "below_one"), "trust": Option(1.0, "share")},
    ),
    "guarded_sum": MixerPart(
        "gradmix.mixing.guarded_sum.GuardedSum",
        guided=True,
        unused_gradmix_keys=_SUM_KEYS,
        takes={
            "average": Option(0.95, "below_one"),
            "per": Option("layer", ("layer", "source")),
        },
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
