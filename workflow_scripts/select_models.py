"""The best R members of the grid on H, for every draw of a pack."""

from pathlib import Path

from gradmix_stage import stage

with stage(snakemake) as log:
    from gradmix.manifest import write_manifest
    from gradmix.training.select import select_top

    parameters = snakemake.params
    for draw in parameters.draws:
        runs = {member: draw["run"].format(member=member) for member in parameters.members}
        records = {member: Path(run, "run.json") for member, run in runs.items()}
        ensemble = select_top(records, parameters.models, Path(draw["ensemble"]))
        for member in ensemble["members"]:
            log(f"{member}: {100 * ensemble['scores'][member]:.2f} % of H")
    write_manifest(snakemake.output[0], [draw["ensemble"] for draw in parameters.draws])
