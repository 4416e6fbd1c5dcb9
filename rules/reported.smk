# What tables, figures and the report read.
from gradmix.results.conditions import listed_conditions
from gradmix.results.figures.declaration import mixing_rows
from gradmix.results.figures.registry import figure_packs, listed_figures
from gradmix.results.figures.writer import failure_of

FIGURES = listed_figures(experiment)
FIGURE_PACKS = figure_packs(FIGURES, experiment.resources.figures_per_job)
FIGURE_PACK = made("figures/{pack}", "figures")
ONE_FIGURE = made("figure/{figure}", "figures")


def per_draw(what, labels_per_class=None):
    """A file of every k (or one) and draw; of a stage that makes packs, their manifests."""
    return expand(
        what.manifest if isinstance(what, Made) else what,
        labels_per_class=labels_per_class or experiment.labels_per_class,
        draw=experiment.draws,
        pack=DRAWS,
        labelling=[""],
        allow_missing=True,
    )


def evaluated(methods, labels_per_class):
    """Method and k of every evaluation; by default of the experiment's own sources, at every k."""
    chosen = labels_per_class or experiment.labels_per_class
    chosen = [chosen] if isinstance(chosen, (int, str)) else chosen
    return [
        (method, int(k))
        for method in methods or experiment.methods
        for k in chosen
        if int(k) in experiment.evaluated_at(method)
    ]


def metric_files(labels_per_class=None, methods=None):
    """Manifests of the evaluations of the experiment's own sources, or of the rows that are named."""
    packs = {
        (PACK_OF_METHOD[method], k): None for method, k in evaluated(methods, labels_per_class)
    }
    return [
        METRICS.manifest.format(labels_per_class=k, pack=pack, methods=methods)
        for methods, k in packs
        for pack in DRAWS
    ]


def record_files(methods=None, labels_per_class=None):
    """Manifests of every run of the listed methods."""
    runs = {(m, trained_at(m, k)): None for m, k in evaluated(methods, labels_per_class)}
    return [
        RUN.manifest.format(labels_per_class=k, pack=pack, method=method)
        for method, k in runs
        for pack in DRAWS
    ]


def used_domains():
    """Domains that take part."""
    names = [*experiment.all_sources(), experiment.target.domain, experiment.test_domain()]
    return list(dict.fromkeys(names))


def if_pseudo_labelled(files):
    """These files, where the experiment has pseudo-labels."""
    return files if pseudo_labelled() else []


def ablation_metrics(ablation):
    """metrics.json of an ablation's methods, where it is made."""
    chosen = experiment.ablations[ablation]
    return metric_files(chosen.labels_per_class or None, list(chosen.methods))


def tables_of(stem):
    """Files of a table, in all formats."""
    return expand(f"{OUT}/tables/{stem}.{{format}}", format=TABLE_FORMATS, allow_missing=True)


def ablation_tables():
    """Table files of all ablations."""
    return [file for name in experiment.ablations for file in tables_of(f"ablation-{name}")]


def table2_files():
    """Table files of the grid, where all its members are evaluated."""
    return [file for k in experiment.grid.evaluate_at for file in tables_of(f"table2-k{k}")]


def all_ablation_metrics():
    """metrics.json of all ablations' methods, each once."""
    files = [file for name in experiment.ablations for file in ablation_metrics(name)]
    return list(dict.fromkeys(files))


def reported_ablations():
    """Name, title, k and rows of every ablation."""
    return [
        {
            "name": name,
            "title": ablation.title,
            "labels_per_class": list(ablation.labels_per_class),
            "methods": experiment.rows(name),
        }
        for name, ablation in experiment.ablations.items()
    ]


def figures_of(stem):
    """Figure files of a stem, in all formats."""
    return expand(f"{FIGURE}/{stem}.{{format}}", format=FORMATS, allow_missing=True)


def all_figures():
    """Manifests of all figures, drawn one by one or in packs."""
    if experiment.resources.figures_per_job == 1:
        return expand(ONE_FIGURE.manifest, figure=list(FIGURES))
    return expand(FIGURE_PACK.manifest, pack=list(FIGURE_PACKS))


# Where the files lie that a declaration names by what they hold: manifests, but for those of PLAIN.
PLAIN = ("domains",)
FIGURE_FILES = {
    "metrics": lambda methods, ks: metric_files(ks, methods),
    "runs": lambda methods, ks: record_files(methods, ks),
    "domains": lambda methods, ks: domain_files(*used_domains()),
    "splits": lambda methods, ks: per_draw(SPLIT, ks)[:1],
    "predictions": lambda methods, ks: per_draw(PREDICTIONS, ks)[:1],
    "quality": lambda methods, ks: per_draw(QUALITY, ks),
    "grid": lambda methods, ks: per_draw(GRID_METRICS, ks),
    "sweeps": lambda methods, ks: per_draw(SWEEP, ks),
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


def undrawn(stems):
    """Why figures could not be drawn, by stem."""
    why = {stem: failure_of(f"{FIGURE}/{stem}") for stem in stems}
    return {stem: sentence for stem, sentence in why.items() if sentence is not None}


def planned_figures(stage, stems_of):
    """An input function like those of `planned`; figures that could not be drawn are tried again."""

    def files(wildcards):
        stems = stems_of(wildcards)
        failed = [f"{stem} could not be drawn: {why}" for stem, why in undrawn(stems).items()]
        manifest = stage.manifest.format_map(wildcards)
        check(manifest, lambda file: failed[0] if failed else fault(file))
        return figures_input(stems)

    return files


def figures_parameters(stems):
    """Module, path without format, names of files by argument, and other arguments of each figure."""
    return [
        {
            "module": FIGURES[stem].module,
            "stem": f"{FIGURE}/{stem}",
            "files": {name: f"{stem}.{name}" for name in FIGURES[stem].drawing.files},
            "manifests": [
                name
                for name, wanted in FIGURES[stem].drawing.files.items()
                if wanted.holds not in PLAIN
            ],
            "arguments": FIGURES[stem].arguments,
        }
        for stem in stems
    ]


def figures_code(stems):
    """Fingerprint of the code that draws them."""
    modules = sorted({FIGURES[stem].module for stem in stems})
    return fingerprint("gradmix.results.figures.writer", *modules)


def report_figures():
    """The figures as the report takes them."""
    return [figure.described(FIGURE) for figure in FIGURES.values()]


def reported_configuration():
    """The configuration without what belongs to the machine, which changes no result."""
    machine = {"output_dir", "data_dir", "device", "verify", "resources"}
    values = {key: value for key, value in experiment.resolved().items() if key not in machine}
    del values["grid"]["runs_per_job"]
    return values
