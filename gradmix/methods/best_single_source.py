"""Best single source: one source and V, their losses summed; the source whose network does best on H."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="best_single_source",
    title="Best single source + V",
    streams=(Stream("sources"), Stream("V")),
    sources="one",
)
