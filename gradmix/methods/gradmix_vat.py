"""GradMix + VAT: hard labels, and virtual adversarial training on U (Miyato et al. 2018) in S_u's gradient."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="gradmix_vat",
    title="GradMix + VAT",
    streams=(
        Stream("sources"),
        Stream("S_u_hard"),
        Stream("U", term="vat", joins="S_u_hard"),
        Stream("V_enlarged", role="guide"),
    ),
    mixer="gradmix",
    last_layer_fine_tunes=True,
)
