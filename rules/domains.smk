# Raw files to domains on disk, and domains to the sets of every draw.


rule domains:
    input:
        domain_files(*used_domains()),


rule splits:
    input:
        per_draw(SPLIT),


rule prepare_domain:
    input:
        raw_files,
    output:
        expand(f"{DOMAIN}/{{file}}", file=DOMAIN_FILES, allow_missing=True),
    log:
        log_of("prepare_domain", "{domain}"),
    benchmark:
        benchmark_of("prepare_domain", "{domain}")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=memory,
        runtime=60,
        gpu=0,
    params:
        domain=lambda wildcards: experiment.domain_settings(wildcards.domain),
        code=lambda wildcards: fingerprint(
            "gradmix.domains.prepare", ORIGINS[experiment.domains[wildcards.domain].origin]
        ),
    script:
        "../workflow_scripts/prepare_domain.py"


rule split:
    input:
        domains=domain_files(*used_domains()),
    output:
        SPLIT,
    log:
        log_of("split", "{labels_per_class}", "{draw}"),
    benchmark:
        benchmark_of("split", "{labels_per_class}", "{draw}")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
        gpu=0,
    params:
        settings=experiment.split_settings(),
        code=lambda wildcards: fingerprint("gradmix.splits"),
    script:
        "../workflow_scripts/split.py"
