"""Fixed weights: all labelled data, V included, each loss times a constant; the constants that do best on H."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="fixed_weights",
    title="Fixed weights (chosen on H)",
    streams=(Stream("sources"), Stream("V")),
    mixer="fixed_weights",
)
