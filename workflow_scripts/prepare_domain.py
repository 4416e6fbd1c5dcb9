"""Raw files of one origin to a domain on disk."""

from gradmix_stage import experiment, folder, stage

with stage(snakemake) as log:
    from gradmix.domains.prepare import prepare_domain
    from gradmix.domains.registry import origin_module

    domain = snakemake.params.domain
    prepare_domain(
        snakemake.wildcards.domain,
        domain["settings"],
        domain["positions"],
        tuple(domain["image"]),
        experiment(snakemake).data_dir,
        folder(snakemake.output),
        snakemake.params.code,
        origin=origin_module(domain["settings"]),
        log=log,
    )
