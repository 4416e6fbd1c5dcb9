"""Pooled with self-labels: the same sets and losses as the guided sum with self-labels, summed; its fair baseline."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="pooled_self",
    title="Pooled + self-labels",
    streams=(
        Stream("sources"),
        Stream("U", term="self_labels"),
        Stream("V", term="augmented_cross_entropy"),
    ),
)
