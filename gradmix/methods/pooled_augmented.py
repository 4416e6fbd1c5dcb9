"""Pooled, with V's images randomly changed at every step: the fair baseline of methods that do the same."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="pooled_augmented",
    title="Pooled, V augmented",
    streams=(Stream("sources"), Stream("V", term="augmented_cross_entropy")),
)
