"""Hard and soft labels of U by the ensemble, of one draw or several."""

from pathlib import Path

from gradmix_stage import by_member, device, folder, folders_of_draws, stage

with stage(snakemake) as log:
    from gradmix.training.predict import pseudo_label

    outputs = folders_of_draws(snakemake.output)
    where = device(snakemake, log)
    files = zip(
        by_member(snakemake.input.ensemble, len(outputs)),
        by_member(snakemake.input.split, len(outputs)),
        outputs,
        strict=True,
    )
    for (ensemble,), (split,), output in files:
        pseudo_label(
            ensemble=Path(ensemble),
            target=folder(snakemake.input.target),
            split=Path(split),
            threshold=snakemake.params.threshold,
            output=output,
            device=where,
            threads=snakemake.threads,
            log=log,
        )
