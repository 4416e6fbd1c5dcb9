"""GradMix with soft labels: every unlabelled image is a source image, labelled by the models' mean softmax.

V, enlarged with hard-labelled images as for hard labels, guides (Li et al. 2020, section 3.5). From scratch.
"""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="gradmix_soft",
    title="GradMix + soft labels",
    streams=(
        Stream("sources"),
        Stream("S_u_soft", term="soft_labels"),
        Stream("V_enlarged", role="guide"),
    ),
    mixer="gradmix",
    last_layer_fine_tunes=True,
)
