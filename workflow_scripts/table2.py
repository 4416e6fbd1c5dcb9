"""Table 2."""

from gradmix_stage import folder, labels_per_class, stage

with stage(snakemake) as log:
    from gradmix.results.grid_effects import write_grid

    write_grid(snakemake.input, labels_per_class(snakemake), folder(snakemake.output))
