# Raw files to domains on disk, and domains to the sets of every draw.


rule domains:
    input:
        domain_files(*used_domains()),


rule splits:
    input:
        per_draw(SPLIT),


rule prepare_domain:
    input:
        planned_domain,
    output:
        expand(f"{DOMAIN}/{{file}}", file=DOMAIN_FILES, allow_missing=True),
    log:
        log_of("prepare_domain", "{domain}"),
    benchmark:
        benchmark_of("prepare_domain", "{domain}")
    wildcard_constraints:
        domain=one_of(ARRAY_DOMAINS) or "none",
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=memory,
        runtime=60,
        gpu=0,
    params:
        domain=lambda wildcards: experiment.domain_settings(wildcards.domain),
        code=lambda wildcards: domain_code("gradmix.domains.prepare", wildcards.domain),
    script:
        "../workflow_scripts/prepare_domain.py"


# Photographs and clips: every file is decoded once, many side by side. Thousands of clips would make
# slow work of Snakemake's own bookkeeping, so the rule watches the lists, the newest file and an
# inventory of names and sizes.
rule extract_frames:
    input:
        planned_domain,
    output:
        expand(f"{DOMAIN}/{{file}}", file=DOMAIN_FILES, allow_missing=True),
    log:
        log_of("extract_frames", "{domain}"),
    benchmark:
        benchmark_of("extract_frames", "{domain}")
    wildcard_constraints:
        domain=one_of(FILE_DOMAINS) or "none",
    conda:
        CONDA
    threads: experiment.resources.extraction_threads
    resources:
        mem_mb=memory,
        runtime=minutes,
        gpu=0,
    params:
        domain=lambda wildcards: experiment.domain_settings(wildcards.domain),
        inventory=lambda wildcards: inventory_of(
            experiment.domain_settings(wildcards.domain)["settings"], experiment.data_dir
        ),
        code=lambda wildcards: domain_code("gradmix.domains.files.prepare", wildcards.domain),
    script:
        "../workflow_scripts/extract_frames.py"


# What extracting all frames would take, on the terminal; makes nothing.
rule estimate_extraction:
    log:
        log_of("estimate_extraction"),
    conda:
        CONDA
    threads: experiment.resources.extraction_threads
    params:
        domains={name: experiment.domain_settings(name) for name in FILE_DOMAINS},
    script:
        "../workflow_scripts/estimate_extraction.py"


rule split:
    input:
        unpack(planned(SPLIT)),
        domains=domain_files(*used_domains()),
    output:
        SPLIT.manifest,
    log:
        log_of("split", "{labels_per_class}", "{pack}"),
    benchmark:
        benchmark_of("split", "{labels_per_class}", "{pack}")
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
        gpu=0,
    params:
        settings=experiment.split_settings(),
        draws=of_each_draw(split=SPLIT),
        code=lambda wildcards: fingerprint("gradmix.split_files"),
    script:
        "../workflow_scripts/split.py"
