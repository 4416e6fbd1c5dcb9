"""Source only, the other reading: the mean of the sources' losses."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="source_only_mean",
    title="Source only (mean)",
    streams=(Stream("sources"),),
    mixer="mean",
)
