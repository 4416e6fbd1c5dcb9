# Figures: each declares in its own module what it reads; here that becomes paths. One by one, or a pack in one job.

# Where the files lie that a declaration names by what they hold.
FIGURE_FILES = {
    "metrics": lambda methods, ks: metric_files(ks, methods),
    "runs": lambda methods, ks: record_files(methods, ks),
    "domains": lambda methods, ks: domain_files(*used_domains()),
    "splits": lambda methods, ks: per_draw(SPLIT, ks)[:1],
    "predictions": lambda methods, ks: per_draw(f"{PSEUDO_LABELS}/predictions.parquet", ks)[:1],
    "quality": lambda methods, ks: per_draw(f"{PSEUDO_LABELS}/quality.json", ks),
    "grid": lambda methods, ks: per_draw(f"{GRID}/metrics.parquet", ks),
    "sweeps": lambda methods, ks: per_draw(
        f"{OUT}/sweep/{{labels_per_class}}/{{draw}}.parquet", ks
    ),
}


def figures_input(stems):
    """What figures read: files by stem and argument."""
    files = {}
    for stem in stems:
        drawing = FIGURES[stem].drawing
        for argument, wanted in drawing.files.items():
            ks = wanted.labels_per_class or ([drawing.k] if drawing.k else None)
            files[f"{stem}.{argument}"] = FIGURE_FILES[wanted.holds](wanted.methods, ks)
    return files


def figures_parameters(stems):
    """Module, path without format, names of files by argument, and other arguments of each figure."""
    return [
        {
            "module": FIGURES[stem].module,
            "stem": f"{FIGURE}/{stem}",
            "files": {name: f"{stem}.{name}" for name in FIGURES[stem].drawing.files},
            "arguments": FIGURES[stem].arguments,
        }
        for stem in stems
    ]


def figures_code(stems):
    """Fingerprint of the code that draws them."""
    modules = sorted({FIGURES[stem].module for stem in stems})
    return fingerprint("gradmix.results.figures.writer", *modules)


rule figure:
    input:
        unpack(lambda wildcards: figures_input([wildcards.figure])),
    output:
        figures_of("{figure}"),
    log:
        log_of("figures", "{figure}"),
    benchmark:
        benchmark_of("figures", "{figure}")
    wildcard_constraints:
        figure=one_of(FIGURES),
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        figures=lambda wildcards: figures_parameters([wildcards.figure]),
        code=lambda wildcards: figures_code([wildcards.figure]),
    script:
        "../workflow_scripts/figures.py"


rule figures:
    input:
        unpack(lambda wildcards: figures_input(FIGURE_PACKS[wildcards.pack])),
    output:
        manifest=FIGURE_MANIFEST,
    log:
        log_of("figures", "{pack}"),
    benchmark:
        benchmark_of("figures", "{pack}")
    wildcard_constraints:
        pack=one_of(FIGURE_PACKS),
    conda:
        CONDA
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
        gpu=0,
    params:
        figures=lambda wildcards: figures_parameters(FIGURE_PACKS[wildcards.pack]),
        code=lambda wildcards: figures_code(FIGURE_PACKS[wildcards.pack]),
    script:
        "../workflow_scripts/figures.py"
