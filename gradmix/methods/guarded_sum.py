"""Guarded sum (ours): V, augmented, trains as well as guides; opposing sources are turned down."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="guarded_sum",
    title="Guarded sum (ours)",
    streams=(Stream("sources"), Stream("V", role="guide", term="augmented_cross_entropy")),
    mixer="guarded_sum",
)
