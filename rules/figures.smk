# Figures: each declares in its own module what it reads; here that becomes paths. One by one, or a pack in one job.

# Where the files lie that a declaration names by what they hold.
FIGURE_FILES = {
    "metrics": lambda wanted: metric_files(wanted.labels_per_class, wanted.methods),
    "runs": lambda wanted: record_files(wanted.methods, wanted.labels_per_class),
    "domains": lambda wanted: domain_files(*used_domains()),
    "split": lambda wanted: per_draw(SPLIT)[0],
    "predictions": lambda wanted: per_draw(f"{PSEUDO_LABELS}/predictions.parquet")[0],
    "quality": lambda wanted: per_draw(f"{PSEUDO_LABELS}/quality.json"),
    "grid": lambda wanted: per_draw(f"{GRID}/metrics.parquet", wanted.labels_per_class),
    "sweeps": lambda wanted: per_draw(f"{OUT}/sweep/{{labels_per_class}}/{{draw}}.parquet"),
}


def figures_input(stems):
    """What figures read: files by stem and argument."""
    return {
        f"{stem}.{argument}": FIGURE_FILES[wanted.holds](wanted)
        for stem in stems
        for argument, wanted in FIGURES[stem].drawing.files.items()
    }


def figures_parameters(stems):
    """Module, path without format, names of files by argument, and other arguments of each figure."""
    return [
        {
            "module": FIGURES[stem].module,
            "stem": f"{FIGURE}/{stem}",
            "files": {name: f"{stem}.{name}" for name in FIGURES[stem].drawing.files},
            "arguments": dict(FIGURES[stem].drawing.arguments),
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
