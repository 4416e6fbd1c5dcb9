"""GradMix (Li et al. 2020): the sources train, V guides, the learning rate follows their agreement."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="gradmix",
    title="GradMix",
    streams=(Stream("sources"), Stream("V", role="guide")),
    mixer="gradmix",
    last_layer_fine_tunes=True,
)
