"""Pooled: all labelled data, V included, their losses summed. The simple rival that the paper leaves out."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradmix.methods.recipe import Recipe, Stream


def make_mixer(network: Any, settings: Mapping[str, Any], source_names: Sequence[str]) -> Any:
    """The plain sum."""
    from gradmix.mixing.sum import Sum

    return Sum(source_names=source_names)


RECIPE = Recipe(
    name="pooled",
    title="Pooled (sources + V)",
    streams=(Stream("sources"), Stream("V")),
    make_mixer=make_mixer,
)
