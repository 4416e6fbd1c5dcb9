"""Table and figure of one ablation."""

from gradmix_stage import folder, stage

with stage(snakemake) as log:
    from gradmix.manifest import files_in
    from gradmix.results.ablations import write_ablation
    from gradmix.results.figures.ablation import write
    from gradmix.results.figures.style import stem_of

    parameters = snakemake.params
    name = snakemake.wildcards.ablation
    metrics = files_in(snakemake.input)
    write_ablation(
        name, parameters.title, metrics, parameters.methods, folder(snakemake.output.tables)
    )
    figure = stem_of(snakemake.output.figures[0])
    write(metrics, parameters.methods, figure, title=parameters.title)
