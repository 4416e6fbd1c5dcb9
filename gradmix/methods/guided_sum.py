"""Guided sum (ours): V, augmented, trains as well as guides; sources are weighed by averaged agreement."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="guided_sum",
    title="Guided sum (ours)",
    streams=(Stream("sources"), Stream("V", role="guide", term="augmented_cross_entropy")),
    mixer="guided_sum",
)
