"""Pooled, with batch-normalisation statistics of its own for every domain."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="pooled_domain_statistics",
    title="Pooled, statistics per domain",
    streams=(Stream("sources"), Stream("V")),
    network={"norm_statistics": "per_domain"},
)
