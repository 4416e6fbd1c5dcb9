# The models that will label U: beta x gamma, trained in packs, and the best R of them.

for number, members in enumerate(packs()):

    # Beta and gamma of a member are in its name, hence in the paths: a new value in the grid
    # changes no parameter of the members that exist, whichever pack they fall into.
    rule:
        name:
            f"train_grid_{number}"
        input:
            domains=domain_files(*experiment.sources, experiment.target.domain),
            split=SPLIT,
            weights=pretrained(experiment.grid_settings()),
        output:
            expand(
                f"{GRID}/{{member}}/{{file}}", member=members, file=RUN_FILES, allow_missing=True
            ),
        log:
            log_of("train_grid", "{labels_per_class}", "{draw}", f"pack{number}"),
        benchmark:
            benchmark_of("train_grid", "{labels_per_class}", "{draw}", f"pack{number}")
        conda:
            CONDA
        threads: experiment.resources.threads
        resources:
            mem_mb=memory,
            runtime=minutes,
            gpu=gpus_to_train(experiment.grid_recipe()),
            nodes=1,  # several GPUs of a job are those of one machine
        params:
            settings=experiment.grid_settings(),
            seed=experiment.seed,
            code=lambda wildcards: grid_code(),
        script:
            "../workflow_scripts/train_grid.py"


rule select:
    input:
        members_files("run.json"),
    output:
        ENSEMBLE,
    log:
        log_of("select", "{labels_per_class}", "{draw}{labelling}"),
    benchmark:
        benchmark_of("select", "{labels_per_class}", "{draw}{labelling}")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        models=labelling_value("models"),
        code=lambda wildcards: fingerprint("gradmix.training.select"),
    script:
        "../workflow_scripts/select_models.py"
