"""Drop-one: pooled with all sources, and without each of them; the best of these K + 1 on H."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="drop_one",
    title="Drop-one (chosen on H)",
    streams=(Stream("sources"), Stream("V")),
    sources="all_but_one",
)
