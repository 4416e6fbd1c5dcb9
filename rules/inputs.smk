# What each stage reads: manifests as its rule's input, and the files of each draw as its script's parameter.


def filled(stage, **names):
    """A stage with these wildcards filled in, pack and draw left open."""
    left = {"pack": "{pack}", "draw": "{draw}", "labelling": ""}
    return Made(*(pattern.format_map(left | names) for pattern in stage))


def manifests(wildcards, **stages):
    """Manifests of a pack by name."""
    names = {"labelling": "", **dict(wildcards.items())}
    return {name: stage.manifest.format_map(names) for name, stage in stages.items()}


def each_draw(wildcards, packs=DRAWS, **stages):
    """Number and files of every draw in a pack."""
    names = {"labelling": "", "member": "{member}", **dict(wildcards.items())}
    return [
        {"draw": draw}
        | {name: stage.file.format_map(names | {"draw": draw}) for name, stage in stages.items()}
        for draw in called(packs, wildcards.pack)
    ]


def split_input(wildcards):
    """What splitting reads."""
    return {"domains": domain_files(*used_domains())}


@cache
def splits_of(labels_per_class, *draws):
    """Manifests of these draws' splits."""
    packs = dict.fromkeys(called(PACK_OF_DRAW, draw) for draw in draws)
    return [SPLIT.manifest.format(labels_per_class=labels_per_class, pack=pack) for pack in packs]


def grid_of(labels_per_class, *draws):
    """Manifests of the whole grid of these draws."""
    return [
        MEMBER.manifest.format(labels_per_class=labels_per_class, pack=pack, members=members)
        for pack, inside in GRID_DRAWS.items()
        if not set(draws).isdisjoint(inside)
        for members in MEMBERS
    ]


def grid_input(wildcards):
    """What training the grid reads."""
    draws = called(GRID_DRAWS, wildcards.pack)
    return {
        "domains": domain_files(*experiment.sources, experiment.target.domain),
        "split": splits_of(wildcards.labels_per_class, *draws),
        "weights": pretrained(grid_settings()),
    }


def grid_draw_input(wildcards):
    """What looking at the whole grid of one draw reads."""
    draw = int(wildcards.draw)
    return {
        "models": grid_of(wildcards.labels_per_class, draw),
        "split": splits_of(wildcards.labels_per_class, draw),
        "target": domain_files(experiment.target.domain),
    }


def grid_draw_files(wildcards):
    """Split of one draw, and the folder of every member of its grid."""
    names = dict(wildcards.items())
    return {
        "split": SPLIT.file.format_map(names),
        "members": {
            member: MEMBER.file.format_map(names | {"member": member})
            for member in experiment.grid_members()
        },
    }


def selection_input(wildcards):
    """What choosing the grid's models reads."""
    return {"records": grid_of(wildcards.labels_per_class, *called(DRAWS, wildcards.pack))}


def labelling_input(wildcards):
    """What labelling U reads."""
    grid = grid_of(wildcards.labels_per_class, *called(DRAWS, wildcards.pack))
    return {
        **manifests(wildcards, ensemble=ENSEMBLE, split=SPLIT),
        # Which of them are used, the ensemble says; a model that changes changes its record, and so the ensemble.
        "models": ancient(grid),
        "target": domain_files(experiment.target.domain),
    }


def quality_input(wildcards):
    """What measuring the pseudo-labels reads."""
    return manifests(wildcards, predictions=PREDICTIONS) | {
        "target": domain_files(experiment.target.domain)
    }


def enlarging_input(wildcards):
    """What enlarging V reads."""
    return quality_input(wildcards) | manifests(wildcards, split=SPLIT)


@cache
def trains_on(method, labels_per_class):
    """What training a method reads of a draw: exactly the sets that its recipe names, H, and the run it starts from."""
    recipe = experiment.recipe(method)
    own = {"labels_per_class": labels_per_class, "labelling": labelling_of(method)}
    stages = {"split": filled(SPLIT, **own)}
    if recipe.needs_pseudo_labels:
        stages["enlarged"] = filled(ENLARGED, **own)
    if "S_u_soft" in recipe.sees:
        stages["predictions"] = filled(PREDICTIONS, **own)
    if first := experiment.starts_from(method):
        k = trained_at(first, labels_per_class)
        start = filled(RUN, labels_per_class=k, method=first)
        stages["initial"] = Made(start.manifest, f"{start.file}/model.safetensors")
    return stages


@cache
def shared_by_draws(method):
    """What training a method reads besides."""
    settings = settings_of(method)
    shared = {"domains": domain_files(*settings.sources, settings.target)}
    return shared if experiment.starts_from(method) else shared | {"weights": pretrained(settings)}


def training_input(wildcards):
    """What training a method reads."""
    stages = trains_on(wildcards.method, wildcards.labels_per_class)
    return shared_by_draws(wildcards.method) | manifests(wildcards, **stages)


def trained_runs(wildcards):
    """Files of every run that a pack trains."""
    return each_draw(wildcards, run=RUN, **trains_on(wildcards.method, wildcards.labels_per_class))


def evaluation_input(wildcards):
    """What evaluating runs reads: here and nowhere else, test images."""
    k = wildcards.labels_per_class
    return {
        "runs": [
            RUN.manifest.format(
                labels_per_class=trained_at(method, k), pack=wildcards.pack, method=method
            )
            for method in called(METHODS_EVALUATED, wildcards.methods)
        ],
        "split": splits_of(k, *called(DRAWS, wildcards.pack)),
        "target": domain_files(experiment.target.domain),
        "test": domain_files(experiment.test_domain()),
    }


def evaluated_runs(wildcards):
    """Files of every run that a pack evaluates."""
    k = wildcards.labels_per_class
    return [
        run
        for method in called(METHODS_EVALUATED, wildcards.methods)
        for run in each_draw(
            wildcards,
            run=filled(RUN, labels_per_class=trained_at(method, k), method=method),
            metrics=filled(METRICS, labels_per_class=k, method=method, methods=""),
            split=SPLIT,
        )
    ]
