# One run per method, k and draw, and its evaluation on the test images; a job does one or a pack of them.


rule evaluations:
    input:
        metric_files(methods=row_names()),


for number, draws in enumerate(draw_packs()):

    rule:
        name:
            packed_name("train", draws=(number, draws))
        input:
            unpack(of_draws(training_input, draws)),
        output:
            expand(f"{RUN}/{{file}}", draw=draws, file=RUN_FILES, allow_missing=True),
        log:
            log_of("train", "{labels_per_class}", draws_part(draws), "{method}"),
        benchmark:
            benchmark_of("train", "{labels_per_class}", draws_part(draws), "{method}")
        conda:
            CONDA
        threads: experiment.resources.threads
        resources:
            mem_mb=memory,
            runtime=minutes,
            gpu=lambda wildcards: gpus_to_train(experiment.recipe(wildcards.method)),
            nodes=1,  # several GPUs of a job are those of one machine
        params:
            settings=lambda wildcards: method_settings(wildcards.method).to_json(),
            seed=experiment.seed,
            code=lambda wildcards: fingerprint(*method_settings(wildcards.method).modules),
        script:
            "../workflow_scripts/train.py"

    for pack, methods in enumerate(method_packs()):

        rule:
            name:
                packed_name("evaluate", draws=(number, draws), methods=(pack, methods))
            input:
                unpack(
                    of_pack(
                        evaluation_input,
                        [{"draw": draw, "method": method} for draw in draws for method in methods],
                    )
                ),
            output:
                expand(f"{RUN}/metrics.json", draw=draws, method=methods, allow_missing=True),
            log:
                log_of(
                    "evaluate",
                    "{labels_per_class}",
                    draws_part(draws),
                    methods_part(pack, methods),
                ),
            benchmark:
                benchmark_of(
                    "evaluate",
                    "{labels_per_class}",
                    draws_part(draws),
                    methods_part(pack, methods),
                )
            wildcard_constraints:
                method=alone(),
            conda:
                CONDA
            threads: experiment.resources.threads
            resources:
                mem_mb=memory,
                runtime=minutes,
                gpu=ONE_GPU,
            params:
                code=lambda wildcards: prediction_code(),
            script:
                "../workflow_scripts/evaluate.py"
