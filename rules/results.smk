# Tables and the report.


rule tables:
    input:
        metrics=metric_files(methods=row_names()),
        runs=record_files(row_names()),
        curves=record_files(mixing_rows(experiment)) if mixing_rows(experiment) else [],
        splits=per_draw(SPLIT),
        enlarged=if_pseudo_labelled(per_draw(ENLARGED)),
        domains=domain_files(*used_domains()),
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
        methods=experiment.all_rows(),
        conditions=listed_conditions(experiment),
        paper=experiment.paper_numbers,
        has_clips=experiment.has_clips(),
        code=lambda wildcards: fingerprint("gradmix.results.tables"),
    script:
        "../workflow_scripts/tables.py"


rule ablation:
    input:
        lambda wildcards: ablation_metrics(wildcards.ablation),
    output:
        tables_of("ablation-{ablation}"),
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
        code=lambda wildcards: fingerprint("gradmix.results.ablations"),
    script:
        "../workflow_scripts/ablation.py"


rule report:
    input:
        figures=all_figures(),
        ablations=all_ablation_metrics(),
        metrics=metric_files(methods=row_names()),
        runs=record_files(row_names()),
        splits=per_draw(SPLIT),
        enlarged=if_pseudo_labelled(per_draw(ENLARGED)),
        ensembles=if_pseudo_labelled(per_draw(ENSEMBLE)),
        summaries=if_pseudo_labelled(per_draw(PREDICTIONS)),
        quality=if_pseudo_labelled(per_draw(QUALITY)),
        domains=domain_files(*used_domains()),
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
        methods=experiment.all_rows(),
        conditions=listed_conditions(experiment),
        figures=report_figures(),
        ablations=reported_ablations(),
        has_clips=experiment.has_clips(),
        templates=templates(),
        code=lambda wildcards: fingerprint("gradmix.results.report"),
    script:
        "../workflow_scripts/report.py"
