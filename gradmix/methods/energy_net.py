"""EnergyNet (Li et al. 2017): fine-tuning on V, and energies of attention maps that rescore the likeliest classes."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="energy_net",
    title="EnergyNet",
    streams=(Stream("V", term="energy"),),
    mixer="none",
    schedule="fine_tune",
    starts_from="source_only",
    network={"energy": True},
)
