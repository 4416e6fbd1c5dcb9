# Packs: what one job does for several draws, methods or figures, so that starts of processes are paid once.


def parted(names, size):
    """Names, so many at a time."""
    return [names[start : start + size] for start in range(0, len(names), size)]


def member_packs():
    """Members of the grid, as many as a job trains."""
    return parted(experiment.grid_members(), experiment.grid.runs_per_job)


def draw_packs(most=experiment.resources.draws_per_job):
    """Draws by job; a wildcard stands for them where each has a job of its own."""
    size = min(most, experiment.resources.draws_per_job)
    if size == 1:
        return [["{draw}"]]
    return parted(list(map(str, experiment.draws)), size)


def grid_draw_packs():
    """Draws by job of the grid: no job trains more than `grid.runs_per_job` runs."""
    return draw_packs(max(1, experiment.grid.runs_per_job // len(experiment.grid_members())))


def method_packs():
    """Methods by evaluating job; a wildcard stands for those that have a job each.

    Rows of the main table are evaluated at every k and can share a job; what only an ablation lists stays by itself.
    """
    size = experiment.resources.methods_per_evaluation
    if size == 1:
        return [["{method}"]]
    by_k = {}
    for name in row_names():
        by_k.setdefault(experiment.evaluated_at(name), []).append(name)
    return [*(pack for names in by_k.values() for pack in parted(names, size)), ["{method}"]]


def alone():
    """Constraint of the wildcard that stands for methods of no pack."""
    if experiment.resources.methods_per_evaluation == 1:
        return one_of(trained_methods())
    return one_of([name for name in trained_methods() if name not in row_names()]) or "none"


def is_open(pack):
    """Whether a wildcard stands for the pack's one member."""
    return pack[0].startswith("{")


def packed_name(name, **packs):
    """Name of a pack's rule: the plain one, with the number of each pack that is one, such as `train_draws_0`."""
    parts = [f"{kind}_{number}" for kind, (number, pack) in packs.items() if not is_open(pack)]
    return "_".join([name, *parts])


def methods_part(number, methods):
    """What stands for a pack of methods in the names of its log and benchmark."""
    return methods[0] if is_open(methods) else f"pack{number}"


def draws_part(draws):
    """What stands for a pack of draws in the names of its log and benchmark."""
    return draws[0] if len(draws) == 1 else f"{draws[0]}-{draws[-1]}"


def of_pack(inputs, members):
    """An input function for a pack: files that its members share, and lists of those of their own, one by one.

    Arguments:
    inputs -- files by name, of one member's wildcards
    members -- the wildcards of each member that its job does not have; a value may be the job's own wildcard
    """

    def joined(wildcards):
        own = dict(wildcards.items())
        each = [
            inputs(own | {name: value.format_map(own) for name, value in member.items()})
            for member in members
        ]
        shared = {name: files for name, files in each[0].items() if name not in OF_ONE_MEMBER}
        lists = {
            name: [
                file
                for one in each
                for file in ([one[name]] if isinstance(one[name], str) else one[name])
            ]
            for name in each[0]
            if name in OF_ONE_MEMBER
        }
        return shared | lists

    return joined


OF_ONE_MEMBER = (
    "split",
    "enlarged",
    "predictions",
    "initial",
    "ensemble",
    "models",
    "run",
    "records",
)


def of_draws(inputs, draws):
    """An input function for a pack of draws."""
    return of_pack(inputs, [{"draw": draw} for draw in draws])
