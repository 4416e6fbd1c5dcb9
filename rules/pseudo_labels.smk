# Labels of U by the ensemble, their quality (to read, not to use), and V filled up with some of them.

for number, draws in enumerate(draw_packs()):

    rule:
        name:
            draws_name("pseudo_label", number)
        input:
            unpack(of_draws(labelling_input, draws)),
        output:
            expand(
                f"{PSEUDO_LABELS}/{{file}}",
                draw=draws,
                file=("predictions.parquet", "summary.json"),
                allow_missing=True,
            ),
        log:
            log_of("pseudo_label", "{labels_per_class}", f"{draws_part(draws)}{{labelling}}"),
        benchmark:
            benchmark_of("pseudo_label", "{labels_per_class}", f"{draws_part(draws)}{{labelling}}")
        conda:
            CONDA
        threads: experiment.resources.threads
        resources:
            mem_mb=memory,
            runtime=minutes,
            gpu=ONE_GPU,
        params:
            threshold=labelling_value("threshold"),
            code=lambda wildcards: prediction_code(),
        script:
            "../workflow_scripts/pseudo_label.py"


rule pseudo_label_quality:
    input:
        predictions=f"{PSEUDO_LABELS}/predictions.parquet",
        target=domain_files(experiment.target.domain),
    output:
        f"{PSEUDO_LABELS}/quality.json",
    log:
        log_of("pseudo_label_quality", "{labels_per_class}", "{draw}{labelling}"),
    benchmark:
        benchmark_of("pseudo_label_quality", "{labels_per_class}", "{draw}{labelling}")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        code=lambda wildcards: fingerprint("gradmix.pseudo_labels", "gradmix.domains.format"),
    script:
        "../workflow_scripts/pseudo_label_quality.py"


rule enlarge:
    input:
        predictions=f"{PSEUDO_LABELS}/predictions.parquet",
        target=domain_files(experiment.target.domain),
        split=SPLIT,
    output:
        ENLARGED,
    log:
        log_of("enlarge", "{labels_per_class}", "{draw}{labelling}"),
    benchmark:
        benchmark_of("enlarge", "{labels_per_class}", "{draw}{labelling}")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        to=labelling_value("enlarge_to"),
        seed=experiment.seed,
        code=lambda wildcards: fingerprint("gradmix.pseudo_labels", "gradmix.domains.format"),
    script:
        "../workflow_scripts/enlarge.py"
