"""Table 2 and its heat map."""

from gradmix_stage import folder, labels_per_class, stage

with stage(snakemake) as log:
    from gradmix.results.figures.grid_heat_map import write
    from gradmix.results.figures.style import stem_of
    from gradmix.results.grid_effects import write_grid

    k = labels_per_class(snakemake)
    write_grid(snakemake.input, k, folder(snakemake.output.tables))
    write(snakemake.input, stem_of(snakemake.output.figures[0]), labels_per_class=k)
