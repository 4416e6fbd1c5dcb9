"""MME (Saito et al. 2019): cross entropy on source and V, minimax entropy on U, a cosine head.

Only sources with the target's label space take part: the entropy is that of a head which a source must teach.
"""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="mme",
    title="MME",
    streams=(Stream("target_sources"), Stream("V"), Stream("U", term="minimax_entropy")),
    network={"head": "cosine"},
)
