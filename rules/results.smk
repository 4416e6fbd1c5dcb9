# Tables, one rule per figure, and the report.


rule tables:
    input:
        metrics=metric_files(),
        runs=run_files("run.json"),
        splits=per_draw(SPLIT),
        enlarged=if_pseudo_labelled(per_draw(ENLARGED)),
        domains=expand(f"{DOMAIN}/domain.json", domain=used_domains()),
    output:
        TABLES,
    log:
        log_of("tables"),
    benchmark:
        benchmark_of("tables")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        methods=experiment.rows(),
        paper=experiment.paper_numbers,
        has_clips=experiment.has_clips(),
        code=lambda wildcards: fingerprint("gradmix.results.tables"),
    script:
        "../workflow_scripts/tables.py"


rule figure_samples:
    input:
        domains=domain_files(*used_domains()),
        split=per_draw(SPLIT)[0],
        predictions=if_pseudo_labelled(per_draw(f"{PSEUDO_LABELS}/predictions.parquet")[:1]),
    output:
        figures_of("samples"),
    log:
        log_of("figures", "samples"),
    benchmark:
        benchmark_of("figures", "samples")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        seed=experiment.seed,
        code=lambda wildcards: fingerprint("gradmix.results.figures.samples"),
    script:
        "../workflow_scripts/figure_samples.py"


rule figure_accuracy:
    input:
        metric_files(),
    output:
        figures_of("accuracy"),
    log:
        log_of("figures", "accuracy"),
    benchmark:
        benchmark_of("figures", "accuracy")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        methods=experiment.rows(),
        paper=experiment.paper_numbers,
        code=lambda wildcards: fingerprint("gradmix.results.figures.accuracy"),
    script:
        "../workflow_scripts/figure_accuracy.py"


rule figure_ranks:
    input:
        metric_files(),
    output:
        figures_of("ranks"),
    log:
        log_of("figures", "ranks"),
    benchmark:
        benchmark_of("figures", "ranks")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        methods=experiment.rows(),
        code=lambda wildcards: fingerprint("gradmix.results.figures.ranks"),
    script:
        "../workflow_scripts/figure_ranks.py"


rule figure_hyper_validation_loss:
    input:
        lambda wildcards: record_files(labels_per_class=wildcards.labels_per_class),
    output:
        figures_of("hyper_validation_loss-k{labels_per_class}"),
    log:
        log_of("figures", "hyper_validation_loss-k{labels_per_class}"),
    benchmark:
        benchmark_of("figures", "hyper_validation_loss-k{labels_per_class}")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        methods=experiment.rows(),
        code=lambda wildcards: fingerprint("gradmix.results.figures.hyper_validation_loss"),
    script:
        "../workflow_scripts/figure_hyper_validation_loss.py"


rule figure_layer_weights:
    input:
        lambda wildcards: record_files([wildcards.method], wildcards.labels_per_class),
    output:
        figures_of("layer_weights-{method}-k{labels_per_class}"),
    log:
        log_of("figures", "layer_weights-{method}-k{labels_per_class}"),
    benchmark:
        benchmark_of("figures", "layer_weights-{method}-k{labels_per_class}")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        code=lambda wildcards: fingerprint("gradmix.results.figures.layer_weights"),
    script:
        "../workflow_scripts/figure_layer_weights.py"


rule figure_adaptive_rate:
    input:
        lambda wildcards: record_files(mixing_methods(), wildcards.labels_per_class),
    output:
        figures_of("adaptive_rate-k{labels_per_class}"),
    log:
        log_of("figures", "adaptive_rate-k{labels_per_class}"),
    benchmark:
        benchmark_of("figures", "adaptive_rate-k{labels_per_class}")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        methods=experiment.rows(),
        code=lambda wildcards: fingerprint("gradmix.results.figures.adaptive_rate"),
    script:
        "../workflow_scripts/figure_adaptive_rate.py"


rule figure_confusion:
    input:
        lambda wildcards: metric_files(wildcards.labels_per_class),
    output:
        figures_of("confusion-k{labels_per_class}"),
    log:
        log_of("figures", "confusion-k{labels_per_class}"),
    benchmark:
        benchmark_of("figures", "confusion-k{labels_per_class}")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        methods=experiment.rows(),
        code=lambda wildcards: fingerprint("gradmix.results.figures.confusion"),
    script:
        "../workflow_scripts/figure_confusion.py"


rule figure_pseudo_label_quality:
    input:
        per_draw(f"{PSEUDO_LABELS}/quality.json"),
    output:
        figures_of("pseudo_label_quality"),
    log:
        log_of("figures", "pseudo_label_quality"),
    benchmark:
        benchmark_of("figures", "pseudo_label_quality")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        code=lambda wildcards: fingerprint("gradmix.results.figures.pseudo_label_quality"),
    script:
        "../workflow_scripts/figure_pseudo_label_quality.py"


rule report:
    input:
        figures=[figure["file"] for figure in report_figures()],
        ablations=all_ablation_metrics(),
        metrics=metric_files(),
        runs=record_files(),
        splits=per_draw(SPLIT),
        enlarged=if_pseudo_labelled(per_draw(ENLARGED)),
        ensembles=if_pseudo_labelled(per_draw(ENSEMBLE)),
        summaries=if_pseudo_labelled(per_draw(f"{PSEUDO_LABELS}/summary.json")),
        quality=if_pseudo_labelled(per_draw(f"{PSEUDO_LABELS}/quality.json")),
        domains=expand(f"{DOMAIN}/domain.json", domain=used_domains()),
    output:
        REPORT,
    log:
        log_of("report"),
    benchmark:
        benchmark_of("report")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
        gpu=0,
    params:
        configuration=reported_configuration(),
        methods=experiment.rows(),
        figures=report_figures(),
        ablations=reported_ablations(),
        has_clips=experiment.has_clips(),
        templates=templates(),
        code=lambda wildcards: fingerprint("gradmix.results.report"),
    script:
        "../workflow_scripts/report.py"
