"""GradMix without the adaptive learning rate ("w/o AdaLR"): the mixing alone."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="gradmix_fixed_rate",
    title="GradMix w/o AdaLR",
    streams=(Stream("sources"), Stream("V", role="guide")),
    mixer="gradmix_fixed_rate",
    last_layer_fine_tunes=True,
)
