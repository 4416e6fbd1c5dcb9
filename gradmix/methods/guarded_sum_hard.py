"""Guarded sum with hard labels (ours): S_u is a further source; V, enlarged and augmented, trains and guides."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="guarded_sum_hard",
    title="Guarded sum + hard labels (ours)",
    streams=(
        Stream("sources"),
        Stream("S_u_hard"),
        Stream("V_enlarged", role="guide", term="augmented_cross_entropy"),
    ),
    mixer="guarded_sum",
)
