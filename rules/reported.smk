# What tables, figures and the report read.


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


def mixing_methods():
    """Listed methods with weights that change over training."""
    return [name for name in experiment.methods if experiment.recipe(name).mixes_by_target]


def mixing_rows():
    """Runs of the table, under all conditions, with weights that change over training."""
    return [name for name in row_names() if experiment.recipe(name).mixes_by_target]


def condition_list():
    """Name, title, sources and k of every condition, the experiment's own sources first."""
    main = experiment.main_condition()
    return [
        {
            "name": name,
            "title": experiment.conditions[name].title,
            "sources": list(experiment.conditions[name].sources),
            "labels_per_class": list(experiment.conditions[name].labels_per_class),
        }
        for name in sorted(experiment.conditions, key=lambda name: name != main)
    ]


LOSS_PAIR_METHODS = ("source_only", "gradmix")


def loss_pair():
    """The two k of the paper's Figure 3: the first and the last; none where it cannot be drawn."""
    ks = experiment.labels_per_class
    listed = all(method in experiment.methods for method in LOSS_PAIR_METHODS)
    return [ks[0], ks[-1]] if listed and len(ks) > 1 else []


def ablation_metrics(ablation):
    """metrics.json of an ablation's methods, where it is made."""
    chosen = experiment.ablations[ablation]
    return metric_files(chosen.labels_per_class or None, list(chosen.methods))


def ablation_tables():
    """Table files of all ablations."""
    return expand(
        f"{OUT}/tables/ablation-{{ablation}}.{{kind}}",
        ablation=list(experiment.ablations),
        kind=("csv", "md", "tex"),
    )


def table2_files():
    """Table files of the grid, where all its members are evaluated."""
    return expand(
        f"{OUT}/tables/table2-k{{k}}.{{kind}}",
        k=experiment.grid.evaluate_at,
        kind=("csv", "md", "tex"),
    )


def sweeps():
    """Whether numbers of models and thresholds are compared."""
    return bool(experiment.pseudo_labels.sweep.models and experiment.pseudo_labels.sweep.thresholds)


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


def figure_list():
    """All figures: kind, stem, and what it is of; in the order of the report."""
    first = {"labels_per_class": experiment.labels_per_class[0]}
    figures = [
        ("samples", "samples", first),
        ("accuracy", "accuracy", {}),
        ("ranks", "ranks", {}),
    ]
    if experiment.conditions:
        figures.append(("conditions", "conditions", {}))
        for k in experiment.labels_per_class if mixing_rows() else []:
            figures.append(("source_weights", f"source_weights-k{k}", {"labels_per_class": k}))
    for k in experiment.labels_per_class:
        of = {"labels_per_class": k}
        figures.append(("hyper_validation_loss", f"hyper_validation_loss-k{k}", of))
        for method in mixing_methods():
            stem = f"layer_weights-{method}-k{k}"
            figures.append(("layer_weights", stem, {"method": method, **of}))
        if mixing_methods():
            figures.append(("adaptive_rate", f"adaptive_rate-k{k}", of))
        figures.append(("confusion", f"confusion-k{k}", of))
    if loss_pair():
        figures.append(("hyper_validation_loss_pair", "hyper_validation_loss_pair", {}))
    for ablation, settings in experiment.ablations.items():
        of = {"ablation": ablation, "title": settings.title}
        figures.append(("ablation", f"ablation-{ablation}", of))
    for k in experiment.grid.evaluate_at:
        figures.append(("grid_heat_map", f"grid_heat_map-k{k}", {"labels_per_class": k}))
    if sweeps():
        figures.append(("pseudo_label_sweep", "pseudo_label_sweep", {}))
    if pseudo_labelled():
        figures.append(("pseudo_label_quality", "pseudo_label_quality", {}))
    order = list(dict.fromkeys(kind for kind, _, _ in figures))
    return sorted(figures, key=lambda figure: order.index(figure[0]))


def all_figures():
    """Files of all figures."""
    return [file for _, stem, _ in figure_list() for file in figures_of(stem)]


def report_figures():
    """The figures as the report takes them: photographs as PNG, drawings as SVG."""
    return [
        {"kind": kind, "file": f"{FIGURE}/{stem}.{'png' if kind == 'samples' else 'svg'}", **of}
        for kind, stem, of in figure_list()
    ]


def reported_configuration():
    """The configuration without what belongs to the machine, which changes no result."""
    machine = {"output_dir", "data_dir", "device", "resources"}
    values = {key: value for key, value in experiment.resolved().items() if key not in machine}
    del values["grid"]["runs_per_job"]
    return values
