"""GradMix read literally (H0): V only guides, and trains no layer, the last one included."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="gradmix_literal",
    title="GradMix, literal",
    streams=(Stream("sources"), Stream("V", role="guide")),
    mixer="gradmix",
    gradmix={"last_layer": "H0"},
)
