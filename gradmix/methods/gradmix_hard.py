"""GradMix with hard labels: S_u, the unlabelled images on whose class all R models agree, is a further source.

V, enlarged with some of them, guides (Li et al. 2020, section 3.5). Trained from scratch.
"""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="gradmix_hard",
    title="GradMix + hard labels",
    streams=(Stream("sources"), Stream("S_u_hard"), Stream("V_enlarged", role="guide")),
    mixer="gradmix",
    last_layer_fine_tunes=True,
)
