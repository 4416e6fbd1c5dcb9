"""V, filled up with hard-labelled images of U, and S_u, the rest of them; for every draw of a pack."""

from gradmix_stage import folder, stage

with stage(snakemake) as log:
    from gradmix.manifest import write_manifest
    from gradmix.pseudo_labels import write_enlarged

    for draw in snakemake.params.draws:
        write_enlarged(
            target=folder(snakemake.input.target),
            split=draw["split"],
            predictions=draw["predictions"],
            to=snakemake.params.to,
            seed=snakemake.params.seed,
            output=draw["enlarged"],
            log=log,
        )
    write_manifest(snakemake.output[0], [draw["enlarged"] for draw in snakemake.params.draws])
