# A table and a figure per ablation.


rule ablation:
    input:
        lambda wildcards: ablation_metrics(wildcards.ablation),
    output:
        tables=expand(
            f"{OUT}/tables/ablation-{{ablation}}.{{kind}}",
            kind=("csv", "md", "tex"),
            allow_missing=True,
        ),
        figures=figures_of("ablation-{ablation}"),
    log:
        log_of("ablation", "{ablation}"),
    benchmark:
        benchmark_of("ablation", "{ablation}")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        title=lambda wildcards: experiment.ablations[wildcards.ablation].title,
        methods=lambda wildcards: experiment.rows(wildcards.ablation),
        code=lambda wildcards: fingerprint(
            "gradmix.results.ablations", "gradmix.results.figures.ablation"
        ),
    script:
        "../workflow_scripts/ablation.py"
