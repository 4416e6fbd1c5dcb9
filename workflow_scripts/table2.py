"""Table 2."""

from gradmix_stage import folder, labels_per_class, stage

with stage(snakemake) as log:
    from gradmix.manifest import files_in
    from gradmix.results.grid_effects import write_grid

    write_grid(files_in(snakemake.input), labels_per_class(snakemake), folder(snakemake.output))
