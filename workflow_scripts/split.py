"""The target's images to V, H, U and test, for every draw of a pack."""

from gradmix_stage import folders, labels_per_class, stage

with stage(snakemake) as log:
    from gradmix.manifest import write_manifest
    from gradmix.split_files import write_splits

    write_splits(
        folders(snakemake.input.domains),
        snakemake.params.settings,
        labels_per_class=labels_per_class(snakemake),
        outputs={draw["draw"]: draw["split"] for draw in snakemake.params.draws},
        log=log,
    )
    write_manifest(snakemake.output[0], [draw["split"] for draw in snakemake.params.draws])
