"""Table of one ablation."""

from gradmix_stage import folder, stage

with stage(snakemake) as log:
    from gradmix.manifest import files_in
    from gradmix.results.ablations import write_ablation

    write_ablation(
        snakemake.wildcards.ablation,
        snakemake.params.title,
        files_in(snakemake.input),
        snakemake.params.methods,
        folder(snakemake.output),
    )
