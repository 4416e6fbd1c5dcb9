"""The best R members of the grid on H, of one draw or several."""

from pathlib import Path

from gradmix_stage import by_member, stage

with stage(snakemake) as log:
    from gradmix.training.select import select_top

    each = by_member(snakemake.input, len(snakemake.output))
    for files, output in zip(each, snakemake.output, strict=True):
        records = {Path(file).parent.name: Path(file) for file in files}
        ensemble = select_top(records, snakemake.params.models, Path(output))
        for member in ensemble["members"]:
            log(f"{member}: {100 * ensemble['scores'][member]:.2f} % of H")
