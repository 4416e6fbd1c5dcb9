"""Pooled with hard labels: sources, S_u and the enlarged V, their losses summed."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="pooled_hard",
    title="Pooled + hard labels",
    streams=(Stream("sources"), Stream("S_u_hard"), Stream("V_enlarged")),
)
