"""Source only, the other reading: the mean of the sources' losses."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradmix.methods.recipe import Recipe, Stream


def make_mixer(network: Any, settings: Mapping[str, Any], source_names: Sequence[str]) -> Any:
    """The plain mean."""
    from gradmix.mixing.mean import Mean

    return Mean(source_names=source_names)


RECIPE = Recipe(
    name="source_only_mean",
    title="Source only (mean)",
    streams=(Stream("sources"),),
    make_mixer=make_mixer,
)
