"""Guarded sum with self-labels (ours): U, labelled by the averaged network, is one more source."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="guarded_sum_self",
    title="Guarded sum + self-labels (ours)",
    streams=(
        Stream("sources"),
        Stream("U", term="self_labels"),
        Stream("V", role="guide", term="augmented_cross_entropy"),
    ),
    mixer="guarded_sum",
)
