# Figures: each declares in its own module what it reads. One by one, or a pack in one job.


rule figure:
    input:
        unpack(planned_figures(ONE_FIGURE, lambda wildcards: [wildcards.figure])),
    output:
        figures_of("{figure}"),
        manifest=ONE_FIGURE.manifest,
    log:
        log_of("figures", "{figure}"),
    benchmark:
        benchmark_of("figures", "{figure}")
    wildcard_constraints:
        figure=one_of(FIGURES),
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        figures=lambda wildcards: figures_parameters([wildcards.figure]),
        code=lambda wildcards: figures_code([wildcards.figure]),
    script:
        "../workflow_scripts/figures.py"


rule figures:
    input:
        unpack(planned_figures(FIGURE_PACK, lambda wildcards: FIGURE_PACKS[wildcards.pack])),
    output:
        manifest=FIGURE_PACK.manifest,
    log:
        log_of("figures", "{pack}"),
    benchmark:
        benchmark_of("figures", "{pack}")
    wildcard_constraints:
        pack=one_of(FIGURE_PACKS),
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        figures=lambda wildcards: figures_parameters(FIGURE_PACKS[wildcards.pack]),
        code=lambda wildcards: figures_code(FIGURE_PACKS[wildcards.pack]),
    script:
        "../workflow_scripts/figures.py"
