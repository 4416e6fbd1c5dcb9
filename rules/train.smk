# A run per method, k and draw, and its evaluation on the test images; a job does one or a pack of them.


rule evaluations:
    input:
        metric_files(methods=row_names()),


rule train:
    input:
        unpack(planned(RUN, training_input)),
    output:
        RUN.manifest,
    log:
        log_of("train", "{labels_per_class}", "{pack}", "{method}"),
    benchmark:
        benchmark_of("train", "{labels_per_class}", "{pack}", "{method}")
    conda:
        CONDA
    threads: experiment.resources.threads
    resources:
        mem_mb=memory,
        runtime=minutes,
        gpu=lambda wildcards: gpus_to_train(experiment.recipe(wildcards.method)),
        nodes=1,  # several GPUs of a job are those of one machine
    params:
        settings=lambda wildcards: training_parameters(wildcards.method)["settings"],
        draws=trained_runs,
        seed=experiment.seed,
        code=lambda wildcards: training_parameters(wildcards.method)["code"],
    script:
        "../workflow_scripts/train.py"


rule evaluate:
    input:
        # Here and nowhere else, test images.
        unpack(planned(METRICS, evaluation_input, split=SPLIT)),
        target=domain_files(experiment.target.domain),
        test=domain_files(experiment.test_domain()),
    output:
        METRICS.manifest,
    log:
        log_of("evaluate", "{labels_per_class}", "{pack}", "{methods}"),
    benchmark:
        benchmark_of("evaluate", "{labels_per_class}", "{pack}", "{methods}")
    conda:
        CONDA
    threads: experiment.resources.threads
    resources:
        mem_mb=memory,
        runtime=minutes,
        gpu=ONE_GPU,
    params:
        runs=evaluated_runs,
        code=lambda wildcards: prediction_code(),
    script:
        "../workflow_scripts/evaluate.py"
