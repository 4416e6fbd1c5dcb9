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


def of_each_draw(packs=DRAWS, **stages):
    """The same as a rule's parameter."""
    return lambda wildcards: each_draw(wildcards, packs, **stages)


# ---- the grid


def splits_of(labels_per_class, draws):
    """Manifests of these draws' splits."""
    packs = dict.fromkeys(called(PACK_OF_DRAW, draw) for draw in draws)
    return [SPLIT.manifest.format(labels_per_class=labels_per_class, pack=pack) for pack in packs]


def grid_of(labels_per_class, draws):
    """Manifests of the whole grid of these draws."""
    return [
        MEMBER.manifest.format(labels_per_class=labels_per_class, pack=pack, members=members)
        for pack, inside in GRID_DRAWS.items()
        if not set(draws).isdisjoint(inside)
        for members in MEMBERS
    ]


def grid_input(wildcards):
    """What training the grid reads; its packs may hold fewer draws than others."""
    draws = called(GRID_DRAWS, wildcards.pack)
    return {"split": splits_of(wildcards.labels_per_class, draws)}


def grid_of_pack(wildcards):
    """The whole grid of a pack."""
    return grid_of(wildcards.labels_per_class, called(DRAWS, wildcards.pack))


def grid_of_draw(wildcards):
    """The whole grid of one draw, and its split."""
    k, draws = wildcards.labels_per_class, [int(wildcards.draw)]
    return {"models": grid_of(k, draws), "split": splits_of(k, draws)}


def files_of_draw(stage):
    """A parameter: their files, and the one that the stage makes of them."""

    def files(wildcards):
        names = dict(wildcards.items())
        members = {
            member: MEMBER.file.format_map(names | {"member": member})
            for member in experiment.grid_members()
        }
        output, split = (what.file.format_map(names) for what in (stage, SPLIT))
        return {"output": output, "split": split, "members": members}

    return files


# ---- the methods


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
    domains = domain_files(*settings.sources, settings.target)
    weights = [] if experiment.starts_from(method) else pretrained(settings)
    return {"domains": domains, "weights": weights}


def training_input(wildcards):
    """What training a method reads."""
    stages = trains_on(wildcards.method, wildcards.labels_per_class)
    return shared_by_draws(wildcards.method) | manifests(wildcards, **stages)


def trained_runs(wildcards):
    """A parameter: files of every run that a pack trains."""
    return each_draw(wildcards, run=RUN, **trains_on(wildcards.method, wildcards.labels_per_class))


def runs_to_evaluate(wildcards):
    """Stages by method of the runs that a pack evaluates."""
    k = wildcards.labels_per_class
    methods = called(METHODS_EVALUATED, wildcards.methods)
    return {m: filled(RUN, labels_per_class=trained_at(m, k), method=m) for m in methods}


def evaluation_input(wildcards):
    """The runs that a pack evaluates."""
    stages = runs_to_evaluate(wildcards).values()
    return {"runs": [stage.manifest.format(pack=wildcards.pack) for stage in stages]}


def evaluated_runs(wildcards):
    """A parameter: files of every one of them."""
    own = {"labels_per_class": wildcards.labels_per_class, "methods": ""}
    return [
        run
        for method, stage in runs_to_evaluate(wildcards).items()
        for run in each_draw(
            wildcards, run=stage, metrics=filled(METRICS, method=method, **own), split=SPLIT
        )
    ]
