"""Figure: precision and coverage of the pseudo-labels by class."""

from gradmix_stage import stage, stem

with stage(snakemake) as log:
    from gradmix.results.figures.pseudo_label_quality import write

    write(snakemake.input, stem(snakemake))
