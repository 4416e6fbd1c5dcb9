"""Source only: the sum of the sources' losses (Li et al. 2020, Eq. 1); no target label trains anything."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="source_only",
    title="Source only (sum)",
    streams=(Stream("sources"),),
)
