"""MDDA (Mancini et al. 2018) with known domains: normalisation by each domain's own statistics, low entropy on U."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="mdda",
    title="MDDA",
    streams=(Stream("sources"), Stream("V"), Stream("U", term="entropy")),
    network={"norm_statistics": "per_domain", "normalise": "all"},
    options={"entropy": {"weight": 0.1}},
)
