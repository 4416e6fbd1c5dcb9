"""DCTN (Xu et al. 2018): sources and V, features that no discriminator tells from the target's, pseudo-labels of U."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="dctn",
    title="DCTN",
    streams=(Stream("sources"), Stream("V"), Stream("U", term="dctn")),
    schedule="adam",
)
