# Labels of U by the ensemble, their quality (to read, not to use), and V filled up with some of them.


rule pseudo_label:
    input:
        unpack(planned(PREDICTIONS, labelling_input)),
    output:
        PREDICTIONS.manifest,
    log:
        log_of("pseudo_label", "{labels_per_class}", "{pack}{labelling}"),
    benchmark:
        benchmark_of("pseudo_label", "{labels_per_class}", "{pack}{labelling}")
    conda:
        CONDA
    threads: experiment.resources.threads
    resources:
        mem_mb=memory,
        runtime=minutes,
        gpu=ONE_GPU,
    params:
        threshold=labelling_value("threshold"),
        draws=lambda wildcards: each_draw(
            wildcards, ensemble=ENSEMBLE, split=SPLIT, predictions=PREDICTIONS
        ),
        code=lambda wildcards: prediction_code(),
    script:
        "../workflow_scripts/pseudo_label.py"


rule pseudo_label_quality:
    input:
        unpack(planned(QUALITY, quality_input)),
    output:
        QUALITY.manifest,
    log:
        log_of("pseudo_label_quality", "{labels_per_class}", "{pack}{labelling}"),
    benchmark:
        benchmark_of("pseudo_label_quality", "{labels_per_class}", "{pack}{labelling}")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        draws=lambda wildcards: each_draw(wildcards, predictions=PREDICTIONS, quality=QUALITY),
        code=lambda wildcards: fingerprint("gradmix.pseudo_labels"),
    script:
        "../workflow_scripts/pseudo_label_quality.py"


rule enlarge:
    input:
        unpack(planned(ENLARGED, enlarging_input)),
    output:
        ENLARGED.manifest,
    log:
        log_of("enlarge", "{labels_per_class}", "{pack}{labelling}"),
    benchmark:
        benchmark_of("enlarge", "{labels_per_class}", "{pack}{labelling}")
    localrule: True
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        to=labelling_value("enlarge_to"),
        draws=lambda wildcards: each_draw(
            wildcards, split=SPLIT, predictions=PREDICTIONS, enlarged=ENLARGED
        ),
        seed=experiment.seed,
        code=lambda wildcards: fingerprint("gradmix.pseudo_labels"),
    script:
        "../workflow_scripts/enlarge.py"
