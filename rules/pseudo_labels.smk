# Labels of U by the ensemble, their quality (to read, not to use), and V filled up with some of them.


rule pseudo_label:
    input:
        unpack(planned(PREDICTIONS, ensemble=ENSEMBLE, split=SPLIT)),
        # Which of them are used, the ensemble says; a model that changes changes its record, and so the ensemble.
        models=ancient(grid_of_pack),
        target=domain_files(experiment.target.domain),
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
        draws=of_each_draw(ensemble=ENSEMBLE, split=SPLIT, predictions=PREDICTIONS),
        code=lambda wildcards: prediction_code(),
    script:
        "../workflow_scripts/pseudo_label.py"


rule pseudo_label_quality:
    input:
        unpack(planned(QUALITY, predictions=PREDICTIONS)),
        target=domain_files(experiment.target.domain),
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
        draws=of_each_draw(predictions=PREDICTIONS, quality=QUALITY),
        code=lambda wildcards: fingerprint("gradmix.pseudo_labels"),
    script:
        "../workflow_scripts/pseudo_label_quality.py"


rule enlarge:
    input:
        unpack(planned(ENLARGED, predictions=PREDICTIONS, split=SPLIT)),
        target=domain_files(experiment.target.domain),
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
        draws=of_each_draw(split=SPLIT, predictions=PREDICTIONS, enlarged=ENLARGED),
        seed=experiment.seed,
        code=lambda wildcards: fingerprint("gradmix.pseudo_labels"),
    script:
        "../workflow_scripts/enlarge.py"
