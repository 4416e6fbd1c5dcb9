# Labels of U by the ensemble, their quality (to read, not to use), and V filled up with some of them.

for number, draws in enumerate(draw_packs()):

    rule:
        name:
            packed_name("pseudo_label", draws=(number, draws))
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

    rule:
        name:
            packed_name("pseudo_label_quality", draws=(number, draws))
        input:
            unpack(of_draws(quality_input, draws)),
        output:
            expand(f"{PSEUDO_LABELS}/quality.json", draw=draws, allow_missing=True),
        log:
            log_of(
                "pseudo_label_quality", "{labels_per_class}", f"{draws_part(draws)}{{labelling}}"
            ),
        benchmark:
            benchmark_of(
                "pseudo_label_quality", "{labels_per_class}", f"{draws_part(draws)}{{labelling}}"
            )
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

    rule:
        name:
            packed_name("enlarge", draws=(number, draws))
        input:
            unpack(of_draws(enlarging_input, draws)),
        output:
            expand(ENLARGED, draw=draws, allow_missing=True),
        log:
            log_of("enlarge", "{labels_per_class}", f"{draws_part(draws)}{{labelling}}"),
        benchmark:
            benchmark_of("enlarge", "{labels_per_class}", f"{draws_part(draws)}{{labelling}}")
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
            seed=experiment.seed,
            code=lambda wildcards: fingerprint("gradmix.pseudo_labels", "gradmix.domains.format"),
        script:
            "../workflow_scripts/enlarge.py"
