"""Target only: cross entropy on the few labelled target images V, nothing else."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="target_only",
    title="Target only",
    streams=(Stream("V"),),
    mixer="none",
    schedule="target_only",
)
