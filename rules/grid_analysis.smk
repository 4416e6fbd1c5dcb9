# Looks at the whole grid that nothing is chosen by: the paper's Table 2, and R and the threshold against the truth.


rule evaluate_grid:
    input:
        unpack(planned_file(GRID_METRICS, grid_of_draw)),
        target=domain_files(experiment.target.domain),
        test=domain_files(experiment.test_domain()),
    output:
        GRID_METRICS,
    log:
        log_of("evaluate_grid", "{labels_per_class}", "{draw}"),
    benchmark:
        benchmark_of("evaluate_grid", "{labels_per_class}", "{draw}")
    conda:
        CONDA
    threads: experiment.resources.threads
    resources:
        mem_mb=memory,
        runtime=minutes,
        gpu=ONE_GPU,
    params:
        files=files_of_draw,
        code=lambda wildcards: fingerprint("gradmix.training.grid_analysis", network_module()),
    script:
        "../workflow_scripts/evaluate_grid.py"


rule table2:
    input:
        lambda wildcards: per_draw(GRID_METRICS, wildcards.labels_per_class),
    output:
        tables_of("table2-k{labels_per_class}"),
    log:
        log_of("table2", "{labels_per_class}"),
    benchmark:
        benchmark_of("table2", "{labels_per_class}")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        code=lambda wildcards: fingerprint("gradmix.results.grid_effects"),
    script:
        "../workflow_scripts/table2.py"


rule pseudo_label_sweep:
    input:
        unpack(planned_file(SWEEP, grid_of_draw)),
        target=domain_files(experiment.target.domain),
    output:
        SWEEP,
    log:
        log_of("pseudo_label_sweep", "{labels_per_class}", "{draw}"),
    benchmark:
        benchmark_of("pseudo_label_sweep", "{labels_per_class}", "{draw}")
    conda:
        CONDA
    threads: experiment.resources.threads
    resources:
        mem_mb=memory,
        runtime=minutes,
        gpu=ONE_GPU,
    params:
        models=experiment.pseudo_labels.sweep.models,
        thresholds=experiment.pseudo_labels.sweep.thresholds,
        files=files_of_draw,
        code=lambda wildcards: fingerprint("gradmix.training.grid_analysis", network_module()),
    script:
        "../workflow_scripts/pseudo_label_sweep.py"
