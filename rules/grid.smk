# The models that will label U: beta x gamma, trained in packs, and the best R of them.


# Beta and gamma of a member are in its name, hence in the paths: a new value in the grid
# changes no parameter of the packs that stay as they are.
rule train_grid:
    input:
        unpack(planned(MEMBER, grid_input)),
        domains=domain_files(*experiment.sources, experiment.target.domain),
        weights=pretrained(grid_settings()),
    output:
        MEMBER.manifest,
    log:
        log_of("train_grid", "{labels_per_class}", "{pack}", "{members}"),
    benchmark:
        benchmark_of("train_grid", "{labels_per_class}", "{pack}", "{members}")
    conda:
        CONDA
    threads: experiment.resources.threads
    resources:
        mem_mb=memory,
        runtime=minutes,
        gpu=gpus_to_train(experiment.grid_recipe()),
        nodes=1,  # several GPUs of a job are those of one machine
    params:
        settings=grid_settings().to_json(),
        members=lambda wildcards: called(MEMBERS, wildcards.members),
        draws=of_each_draw(packs=GRID_DRAWS, split=SPLIT, run=MEMBER),
        seed=experiment.seed,
        code=lambda wildcards: fingerprint(*grid_settings().modules),
    script:
        "../workflow_scripts/train_grid.py"


rule select:
    input:
        unpack(planned(ENSEMBLE)),
        records=grid_of_pack,
    output:
        ENSEMBLE.manifest,
    log:
        log_of("select", "{labels_per_class}", "{pack}{labelling}"),
    benchmark:
        benchmark_of("select", "{labels_per_class}", "{pack}{labelling}")
    localrule: True
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        models=labelling_value("models"),
        members=experiment.grid_members(),
        draws=of_each_draw(run=MEMBER, ensemble=ENSEMBLE),
        code=lambda wildcards: fingerprint("gradmix.training.select"),
    script:
        "../workflow_scripts/select_models.py"
