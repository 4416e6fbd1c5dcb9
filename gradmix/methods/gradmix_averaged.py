"""GradMix with weights from moving averages of the gradients' cosines and norms."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="gradmix_averaged",
    title="GradMix, averaged",
    streams=(Stream("sources"), Stream("V", role="guide")),
    mixer="gradmix",
    last_layer_fine_tunes=True,
    gradmix={"average": 0.95},
)
