"""Source only: the sum of the sources' losses (Li et al. 2020, Eq. 1); no target label trains anything."""

from gradmix.methods.recipe import Recipe, Stream
from gradmix.methods.sums import make_sum

RECIPE = Recipe(
    name="source_only",
    title="Source only (sum)",
    streams=(Stream("sources"),),
    make_mixer=make_sum,
)
