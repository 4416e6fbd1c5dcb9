# The models that will label U: beta x gamma, trained in packs, and the best R of them.

for number, members in enumerate(member_packs()):
    for pack, draws in enumerate(grid_draw_packs()):

        # Beta and gamma of a member are in its name, hence in the paths: a new value in the grid
        # changes no parameter of the members that exist, whichever pack they fall into.
        rule:
            name:
                packed_name(f"train_grid_{number}", draws=(pack, draws))
            input:
                unpack(of_draws(grid_input, draws)),
            output:
                expand(
                    f"{GRID}/{{member}}/{{file}}",
                    draw=draws,
                    member=members,
                    file=RUN_FILES,
                    allow_missing=True,
                ),
            log:
                log_of("train_grid", "{labels_per_class}", draws_part(draws), f"pack{number}"),
            benchmark:
                benchmark_of("train_grid", "{labels_per_class}", draws_part(draws), f"pack{number}")
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
                seed=experiment.seed,
                code=lambda wildcards: fingerprint(*grid_settings().modules),
            script:
                "../workflow_scripts/train_grid.py"


for number, draws in enumerate(draw_packs()):

    rule:
        name:
            packed_name("select", draws=(number, draws))
        input:
            unpack(of_draws(selection_input, draws)),
        output:
            expand(ENSEMBLE, draw=draws, allow_missing=True),
        log:
            log_of("select", "{labels_per_class}", f"{draws_part(draws)}{{labelling}}"),
        benchmark:
            benchmark_of("select", "{labels_per_class}", f"{draws_part(draws)}{{labelling}}")
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
            code=lambda wildcards: fingerprint("gradmix.training.select"),
        script:
            "../workflow_scripts/select_models.py"
