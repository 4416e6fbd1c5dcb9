# A table and a figure per ablation, and the paper's Figure 3.


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


rule figure_hyper_validation_loss_pair:
    input:
        lambda wildcards: [file for k in loss_pair() for file in record_files(LOSS_PAIR_METHODS, k)],
    output:
        figures_of("hyper_validation_loss_pair"),
    log:
        log_of("figures", "hyper_validation_loss_pair"),
    benchmark:
        benchmark_of("figures", "hyper_validation_loss_pair")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        methods=[row for row in experiment.rows() if row["name"] in LOSS_PAIR_METHODS],
        labels_per_class=loss_pair(),
        code=lambda wildcards: fingerprint("gradmix.results.figures.hyper_validation_loss_pair"),
    script:
        "../workflow_scripts/figure_hyper_validation_loss_pair.py"
