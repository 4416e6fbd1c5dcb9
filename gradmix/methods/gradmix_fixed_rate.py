"""GradMix without the adaptive learning rate ("w/o AdaLR"): the mixing alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradmix.methods.mixers import make_gradmix
from gradmix.methods.recipe import Recipe, Stream


def make_mixer(network: Any, settings: Mapping[str, Any], source_names: Sequence[str]) -> Any:
    """GradMix with eta = 1."""
    return make_gradmix(network, settings, source_names, adaptive_rate=False)


RECIPE = Recipe(
    name="gradmix_fixed_rate",
    title="GradMix w/o AdaLR",
    streams=(Stream("sources"), Stream("V", role="guide")),
    make_mixer=make_mixer,
    unused_gradmix_keys=frozenset({"beta", "gamma", "rho", "eta_on", "eta_on_heads"}),
    last_layer_fine_tunes=True,
)
