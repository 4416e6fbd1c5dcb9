"""Hard and soft labels of U by the ensemble, for every draw of a pack."""

from pathlib import Path

from gradmix_stage import device, folder, stage

with stage(snakemake) as log:
    from gradmix.manifest import write_manifest
    from gradmix.training.predict import pseudo_label

    draws = snakemake.params.draws
    where = device(snakemake, log)
    for draw in draws:
        pseudo_label(
            ensemble=Path(draw["ensemble"]),
            target=folder(snakemake.input.target),
            split=Path(draw["split"]),
            threshold=snakemake.params.threshold,
            output=Path(draw["predictions"]).parent,
            device=where,
            threads=snakemake.threads,
            log=log,
        )
    names = ("predictions.parquet", "summary.json")
    write_manifest(
        snakemake.output[0],
        [Path(draw["predictions"]).with_name(name) for draw in draws for name in names],
    )
