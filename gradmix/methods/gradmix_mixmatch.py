"""GradMix + MixMatch: hard labels, and MixMatch's consistency on U (Berthelot et al. 2019) in S_u's gradient."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="gradmix_mixmatch",
    title="GradMix + MixMatch",
    streams=(
        Stream("sources"),
        Stream("S_u_hard"),
        Stream("U", term="mixmatch", joins="S_u_hard"),
        Stream("V_enlarged", role="guide"),
    ),
    mixer="gradmix",
    last_layer_fine_tunes=True,
)
