"""Source only: the sum of the sources' losses (Li et al. 2020, Eq. 1); no target label trains anything."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradmix.methods.recipe import Recipe, Stream


def make_mixer(network: Any, settings: Mapping[str, Any], source_names: Sequence[str]) -> Any:
    """The plain sum."""
    from gradmix.mixing.sum import Sum

    return Sum(source_names=source_names)


RECIPE = Recipe(
    name="source_only",
    title="Source only (sum)",
    streams=(Stream("sources"),),
    make_mixer=make_mixer,
)
