"""Photographs or clips of one origin to a domain on disk."""

from gradmix_stage import experiment, folder, stage

with stage(snakemake) as log:
    from gradmix.domains.files.prepare import prepare_files
    from gradmix.domains.registry import origin_module

    domain = snakemake.params.domain
    prepare_files(
        snakemake.wildcards.domain,
        domain["settings"],
        domain["positions"],
        tuple(domain["image"]),
        experiment(snakemake).data_dir,
        folder(snakemake.output),
        snakemake.params.code,
        origin=origin_module(domain["settings"]),
        processes=snakemake.threads,
        log=log,
    )
