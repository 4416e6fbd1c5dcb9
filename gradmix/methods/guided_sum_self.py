"""Guided sum with self-labels (ours): U, labelled by the averaged network, is a source that V weighs like others."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="guided_sum_self",
    title="Guided sum + self-labels (ours)",
    streams=(
        Stream("sources"),
        Stream("U", term="self_labels"),
        Stream("V", role="guide", term="augmented_cross_entropy"),
    ),
    mixer="guided_sum",
)
