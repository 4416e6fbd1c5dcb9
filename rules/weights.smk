# Pretrained weights of the network: laid into data_dir by hand, or downloaded (by the head node of a cluster).


rule initial_weights:
    input:
        planned_file(
            WEIGHTS,
            lambda wildcards: weight_files(experiment.network.weights, experiment.data_dir),
        ),
    output:
        WEIGHTS,
    log:
        log_of("initial_weights", "{network}"),
    benchmark:
        benchmark_of("initial_weights", "{network}")
    wildcard_constraints:
        network=one_of(name for name, part in NETWORKS.items() if part.takes_weights),
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        weights=experiment.network.weights,
        code=lambda wildcards: fingerprint(
            "gradmix.nets.weights", f"gradmix.nets.{wildcards.network}"
        ),
    script:
        "../workflow_scripts/initial_weights.py"
