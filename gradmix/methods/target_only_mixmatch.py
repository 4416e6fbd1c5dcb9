"""Target only with MixMatch: V and U, no source; what the unlabelled images are worth by themselves."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="target_only_mixmatch",
    title="Target only + MixMatch",
    streams=(Stream("V", role="companion"), Stream("U", term="mixmatch")),
    mixer="none",
    options={"mixmatch": {"labelled": True}},
)
