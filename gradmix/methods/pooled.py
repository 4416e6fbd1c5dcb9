"""Pooled: all labelled data, V included, their losses summed. The simple baseline that the paper leaves out."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="pooled",
    title="Pooled (sources + V)",
    streams=(Stream("sources"), Stream("V")),
)
