"""How right the pseudo-labels of a pack of draws are. Nothing that trains or chooses reads what this writes."""

from gradmix_stage import folder, labels_per_class, stage

with stage(snakemake) as log:
    from gradmix.manifest import write_manifest
    from gradmix.pseudo_labels import write_quality

    for draw in snakemake.params.draws:
        write_quality(
            target=folder(snakemake.input.target),
            predictions=draw["predictions"],
            labels_per_class=labels_per_class(snakemake),
            draw=draw["draw"],
            output=draw["quality"],
        )
    write_manifest(snakemake.output[0], [draw["quality"] for draw in snakemake.params.draws])
