"""Guarded sum with one factor per source (ours), for all layers."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="guarded_sum_source",
    title="Guarded sum, one factor a source (ours)",
    streams=(Stream("sources"), Stream("V", role="guide", term="augmented_cross_entropy")),
    mixer="guarded_sum",
    options={"guarded_sum": {"per": "source"}},
)
