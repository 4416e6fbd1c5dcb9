"""The best R members of the grid on H."""

from pathlib import Path

from gradmix_stage import stage

with stage(snakemake) as log:
    from gradmix.training.select import select_top

    records = {Path(file).parent.name: Path(file) for file in snakemake.input}
    ensemble = select_top(records, snakemake.params.models, Path(snakemake.output[0]))
    for member in ensemble["members"]:
        log(f"{member}: {100 * ensemble['scores'][member]:.2f} % of H")
