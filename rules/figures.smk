# Figures: a rule for each kind, or one for each pack of them.


def k_of(of):
    """The figure's k, as an argument."""
    return {"labels_per_class": int(of["labels_per_class"])}


def sampled_draw():
    """What the split and the pseudo-labels that the figure of samples shows are made by."""
    stages = {"split": SPLIT, "predictions": PREDICTIONS} if pseudo_labelled() else {"split": SPLIT}
    return {name: per_draw(stage)[0] for name, stage in stages.items()}


def sampling(of):
    """Where the samples lie, and which are drawn."""
    first = {"labels_per_class": experiment.labels_per_class[0], "draw": experiment.draws[0]}
    predictions = PREDICTIONS.file.format(**first, labelling="")
    return {
        "domains_folder": f"{OUT}/domains",
        "split_file": SPLIT.file.format(**first),
        "predictions_file": predictions if pseudo_labelled() else None,
        "seed": experiment.seed,
    }


# What a kind is named in files, what it reads (by the name of its `write`'s argument; `domains` it finds by itself)
# and the other arguments, all of its wildcards.
FIGURES = {
    "samples": (
        "samples",
        lambda of: {"domains": domain_files(*used_domains()), **sampled_draw()},
        sampling,
    ),
    "accuracy": (
        "accuracy",
        lambda of: {"metric_files": metric_files()},
        lambda of: {"methods": experiment.rows(), "paper": experiment.paper_numbers},
    ),
    "ranks": (
        "ranks",
        lambda of: {"metric_files": metric_files()},
        lambda of: {"methods": experiment.rows()},
    ),
    "conditions": (
        "conditions",
        lambda of: {"metric_files": metric_files(methods=row_names())},
        lambda of: {"methods": experiment.all_rows(), "conditions": condition_list()},
    ),
    "source_weights": (
        "source_weights-k{labels_per_class}",
        lambda of: {"run_files": record_files(mixing_rows(), of["labels_per_class"])},
        lambda of: {
            "methods": experiment.all_rows(),
            "conditions": condition_list(),
            **k_of(of),
        },
    ),
    "hyper_validation_loss": (
        "hyper_validation_loss-k{labels_per_class}",
        lambda of: {"run_files": record_files(labels_per_class=of["labels_per_class"])},
        lambda of: {"methods": experiment.rows(), **k_of(of)},
    ),
    "layer_weights": (
        "layer_weights-{method}-k{labels_per_class}",
        lambda of: {"run_files": record_files([of["method"]], of["labels_per_class"])},
        lambda of: {"method": of["method"], **k_of(of)},
    ),
    "adaptive_rate": (
        "adaptive_rate-k{labels_per_class}",
        lambda of: {"run_files": record_files(mixing_methods(), of["labels_per_class"])},
        lambda of: {"methods": experiment.rows(), **k_of(of)},
    ),
    "confusion": (
        "confusion-k{labels_per_class}",
        lambda of: {"metric_files": metric_files(of["labels_per_class"])},
        lambda of: {"methods": experiment.rows(), **k_of(of)},
    ),
    "hyper_validation_loss_pair": (
        "hyper_validation_loss_pair",
        lambda of: {
            "run_files": [f for k in loss_pair() for f in record_files(LOSS_PAIR_METHODS, k)]
        },
        lambda of: {
            "methods": [row for row in experiment.rows() if row["name"] in LOSS_PAIR_METHODS],
            "labels_per_class": loss_pair(),
        },
    ),
    "pseudo_label_quality": (
        "pseudo_label_quality",
        lambda of: {"quality_files": per_draw(QUALITY)},
        lambda of: {},
    ),
}


def figure_packs():
    """Kind and wildcards of the figures of every job; of an open kind, whose wildcards are the job's, `None`."""
    size = experiment.resources.figures_per_job
    if size == 1:
        return [[(kind, None)] for kind in FIGURES]
    return parted([(kind, of) for kind, _, of in figure_list() if kind in FIGURES], size)


def figures_name(number, figures):
    """Name of a pack's rule."""
    kind, of = figures[0]
    return f"figure_{kind}" if of is None else f"figures_{number}"


def figures_part(number, figures):
    """What the log and the benchmark of a pack are called."""
    kind, of = figures[0]
    return FIGURES[kind][0] if of is None else f"pack{number}"


def figure_stems(figures):
    """File names of a pack's figures."""
    return [
        FIGURES[kind][0] if of is None else FIGURES[kind][0].format_map(of) for kind, of in figures
    ]


def figures_input(figures):
    """An input function: each figure's files under their names with the figure's number."""

    def files(wildcards):
        return {
            f"{name}_{number}": files
            for number, (kind, of) in enumerate(figures)
            for name, files in FIGURES[kind][1](of or dict(wildcards.items())).items()
        }

    return files


def figures_parameters(figures):
    """A parameter: kind, stem, names of files and arguments of every figure."""

    def described(wildcards):
        found = []
        for kind, of in figures:
            stem, files, arguments = FIGURES[kind]
            of = of or dict(wildcards.items())
            found.append(
                {
                    "kind": kind,
                    "stem": f"{FIGURE}/{stem.format_map(of)}",
                    "files": [name for name in files(of) if name.endswith("_files")],
                    "arguments": arguments(of),
                }
            )
        return found

    return described


def figures_code(figures):
    """A parameter: fingerprint of the code that draws them."""
    modules = dict.fromkeys(f"gradmix.results.figures.{kind}" for kind, _ in figures)
    return lambda wildcards: fingerprint(*modules)


for number, figures in enumerate(figure_packs()):

    rule:
        name:
            figures_name(number, figures)
        input:
            unpack(figures_input(figures)),
        output:
            [file for stem in figure_stems(figures) for file in figures_of(stem)],
        log:
            log_of("figures", figures_part(number, figures)),
        benchmark:
            benchmark_of("figures", figures_part(number, figures))
        conda:
            CONDA
        threads: 1
        resources:
            mem_mb=2000,
            runtime=10,
            gpu=0,
        params:
            figures=figures_parameters(figures),
            code=figures_code(figures),
        script:
            "../workflow_scripts/figures.py"
