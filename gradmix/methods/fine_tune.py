"""Fine-tune: source-only's chosen checkpoint, then cross entropy on V through all layers at a low rate."""

from gradmix.methods.recipe import Recipe, Stream

RECIPE = Recipe(
    name="fine_tune",
    title="Fine-tune",
    streams=(Stream("V"),),
    mixer="none",
    schedule="fine_tune",
    starts_from="source_only",
)
