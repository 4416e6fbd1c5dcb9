"""GradMix SGD: weights by one meta-gradient step (Ren et al. 2018) in place of the largest cosine; fixed rate."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="gradmix_sgd",
    title="GradMix SGD",
    streams=(Stream("sources"), Stream("V", role="guide")),
    mixer="gradmix_sgd",
    last_layer_fine_tunes=True,
)
