"""Checks of methods, their candidates and ablations. Each yields ``(path of the key, fault)``."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from gradmix.config.experiment import Config
from gradmix.config.messages import Problem, nearest, unknown_k
from gradmix.config.models import Method, Overrides
from gradmix.config.types import shown
from gradmix.methods.method import Stream
from gradmix.methods.mixers import MIXERS
from gradmix.methods.recipes import METHODS
from gradmix.terms.registry import TERMS, term_part
from gradmix.training.settings import RunSettings


def names_of(config: Config) -> Iterator[Problem]:
    """Check names of recipes, mixers and terms, and of methods that ablations share with the table."""
    for name, method in config.methods.items():
        yield from _names(f"methods.{name}", name, method)
    seen: dict[str, tuple[str, Method]] = {n: ("methods", m) for n, m in config.methods.items()}
    for key, ablation in config.ablations.items():
        path = f"ablations.{key}.labels_per_class"
        yield from unknown_k(path, ablation.labels_per_class, config.labels_per_class)
        for name, method in ablation.methods.items():
            path = f"ablations.{key}.methods.{name}"
            where, other = seen.setdefault(name, (f"ablations.{key}.methods", method))
            if method.model_fields_set and method != other:
                yield path, f"differs from {where}.{name}; give it a name of its own"
            elif other is method:
                yield from _names(path, name, method)


def _names(path: str, name: str, method: Method) -> Iterator[Problem]:
    if method.recipe is not None and method.recipe not in METHODS:
        hint = nearest(method.recipe, METHODS)
        yield f"{path}.recipe", f"there is no recipe {method.recipe!r}{hint}"
    elif method.recipe is None and name not in METHODS:
        yield (
            path,
            f"no recipe has this name{nearest(name, METHODS)} "
            "(a method with a name of its own needs `recipe`)",
        )
    elif method.recipe is not None and name in METHODS and name != method.recipe:
        yield f"{path}.recipe", f"the name {name} is kept for the recipe of that name"
    if method.mixer is not None and method.mixer not in MIXERS:
        hint = nearest(method.mixer, MIXERS)
        if method.mixer == "none":
            hint = "; the plain sum of the losses is `mixer: sum`"
        yield f"{path}.mixer", f"there is no mixer {method.mixer!r} ({', '.join(MIXERS)}){hint}"
    unlabelled = [term for term, part in TERMS.items() if part.on_unlabelled]
    for term in method.terms:
        if term not in unlabelled:
            known = ", ".join(unlabelled) or "none"
            yield f"{path}.terms", f"there is no term {term!r} for unlabelled images ({known})"


def settings_of(config: Config) -> Iterator[Problem]:
    """Check that overrides have an effect, and that there are no more candidates than the budget."""
    for path, name, method in paths_of(config):
        settings, recipe = config.method_settings(name).to_json(), config.recipe(name)
        known = recipe.default_options()
        yield from _overrides(path, method, settings, known)
        for candidate, overrides in method.candidates.items():
            yield from _overrides(f"{path}.candidates.{candidate}", overrides, settings, known)
        if recipe.sources != "all" and method.candidates:
            yield f"{path}.candidates", "has no effect: the method's candidates are the sources"
        if recipe.mixes_by_target and not recipe.sees & {"V", "V_enlarged"}:
            yield (
                f"{path}.mixer",
                f"{recipe.mixer} needs V as its guide, but recipe {recipe.name} has none",
            )
        tried = config.candidates(name)
        if recipe.mixer == "fixed_weights":
            yield from _weights(config, path, name, method)
        if tried > config.tuning.budget:
            yield path, f"tries {tried} settings, more than tuning.budget ({config.tuning.budget})"
        if method.overrides("network") and recipe.starts_from:
            yield f"{path}.network", f"has no effect: it starts from {recipe.starts_from}'s network"
        if method.sources and not settings["sources"]:
            yield f"{path}.sources", f"has no effect: recipe {recipe.name} sees no source"


def _weights(config: Config, path: str, name: str, method: Method) -> Iterator[Problem]:
    """Check that fixed weights are for sets that train, and leave one of them a weight."""
    settings, key = config.method_settings(name), "options.fixed_weights.weights"
    if not settings.candidates and not settings.options["fixed_weights"]["weights"]:
        yield path, f"has no weights: give {key}, or candidates with them"
    places = {
        "tuning.candidates": config.tuning.candidates,
        f"{path}.candidates": method.candidates,
    }
    given = {
        name: f"{place}.{name}"
        for place, candidates in places.items()
        for name, candidate in candidates.items()
        if "fixed_weights" in candidate.overrides("options")
    }
    for candidate, own in (settings.candidates or {"": settings}).items():
        where = given.get(candidate, path)
        weights, sets = own.options["fixed_weights"]["weights"], _weighed(own)
        assert isinstance(weights, Mapping)
        unknown = [one for one in weights if one not in sets]
        for one in unknown:
            yield (
                f"{where}.{key}",
                f"no set that trains is called {shown(one)}{nearest(one, sets)} ({', '.join(sets)})",
            )
        if not unknown and not any(weights.get(one, 1.0) for one in sets):
            yield f"{where}.{key}", "are all 0"


def forward_of(config: Config) -> Iterator[Problem]:
    """Check that joint forward passes, where they are asked for, can be made."""
    everywhere: dict[str, str] = {"training.forward": config.training.forward}
    for name, candidate in config.tuning.candidates.items():
        path = f"tuning.candidates.{name}.training.forward"
        everywhere[path] = _forward(candidate)
    own: dict[str, str] = {}
    alone = []
    for path, name, method in paths_of(config):
        sections: dict[str, Overrides] = {path: method}
        sections |= {f"{path}.candidates.{c}": given for c, given in method.candidates.items()}
        asked = [where for where, given in sections.items() if _forward(given) != "separate"]
        own |= {f"{where}.training.forward": name for where in asked}
        if len(_joined(config.method_settings(name))) < 2:
            alone.append(name)
    gpus, apart = config.resources.gpu, "has no two sets whose forward passes can be one"
    for path in [*(path for path, forward in everywhere.items() if forward != "separate"), *own]:
        if gpus > 1:
            what = f"several GPUs of a run (resources.gpu: {gpus}) need separate passes"
            yield path, f"is together, but {what}"
        elif own.get(path) in alone:
            yield path, f"has no effect: {own[path]} {apart}"
        elif path not in own and len(alone) == len(config.all_methods()):
            yield (
                path,
                f"has no effect: none of {', '.join(alone)} {apart.replace('no two', 'two')}",
            )


def _forward(section: Overrides) -> str:
    return str(section.overrides("training").get("forward", "separate"))


def _joined(settings: RunSettings) -> list[str]:
    """Name the sets that a joint forward pass takes: up to the first whose term makes passes of its own."""
    if settings.network.get("norm_statistics") == "per_domain":
        return []
    streams = takewhile(lambda s: term_part(s.term).reads_features, settings.method.streams)
    return [name for stream in streams for name in _sets(stream, settings)]


def _weighed(settings: RunSettings) -> list[str]:
    """Name the sets whose gradients are weighed; one that joins another's has its weight."""
    names: dict[str, bool] = {}
    for stream in settings.method.streams:
        for name in _sets(stream, settings):
            own = f"{name}:{stream.term}" if name in names else name
            names[own] = stream.role == "source" and stream.joins is None
    return [name for name, weighed in names.items() if weighed]


def _sets(stream: Stream, settings: RunSettings) -> Sequence[str]:
    """Name a stream's sets as training does."""
    if stream.images in ("sources", "target_sources"):
        return settings.sources
    return [
        {"V_enlarged": "V", "S_u_hard": "S_u", "S_u_soft": "S_u"}.get(stream.images, stream.images)
    ]


def paths_of(config: Config) -> Iterator[tuple[str, str, Method]]:
    """Yield path, name and section of every method, those of ablations included."""
    for name, method in config.all_methods().items():
        homes = [key for key, ablation in config.ablations.items() if name in ablation.methods]
        home = "methods" if name in config.methods else f"ablations.{homes[0]}.methods"
        yield f"{home}.{name}", name, method


def _overrides(
    path: str, own: Overrides, settings: Mapping[str, Any], options: Mapping[str, Any]
) -> Iterator[Problem]:
    for section in ("training", "gradmix"):
        used = settings.get(section, {})
        for key in own.overrides(section):
            if key not in used and key not in ("selection_per_class", "forward"):
                known = ", ".join(used) or f"no key of {section}"
                yield (
                    f"{path}.{section}.{key}",
                    f"has no effect: recipe {settings['recipe']} uses {known}",
                )
    for part in own.overrides("options"):
        if part not in options:
            known = ", ".join(options) or "no part with options"
            yield f"{path}.options.{part}", f"recipe {settings['recipe']} has {known}"


def pseudo_labels_of(config: Config) -> Iterator[Problem]:
    """Check that the grid has members for every ensemble, and that an enlarged V is no smaller than V."""
    for k in config.grid.evaluate_at:
        if k not in config.labels_per_class:
            yield "grid.evaluate_at", f"{k} is none of labels_per_class"
    members = len(config.grid_members())
    for path, name, method in paths_of(config):
        own = method.overrides("pseudo_labels")
        if "sweep" in own:
            yield f"{path}.pseudo_labels.sweep", "has no effect in a method"
        if not config.recipe(name).needs_pseudo_labels:
            if own:
                yield f"{path}.pseudo_labels", "has no effect: it sees no pseudo-labels"
            continue
        labelling = config.labelling(name)
        section = f"{path}.pseudo_labels" if own else "pseudo_labels"
        if members < labelling.models:
            yield (
                f"{section}.models",
                f"is {labelling.models}, but the grid has only {members} members (grid.beta x grid.gamma)",
            )
        most = max(config.labels_per_class)
        if labelling.enlarge_to < most:
            yield (
                f"{section}.enlarge_to",
                f"is {labelling.enlarge_to}, less than the {most} labels per class that V starts with",
            )
    for models in config.pseudo_labels.sweep.models:
        if models > members:
            yield (
                "pseudo_labels.sweep.models",
                f"{models} is more than the grid's {members} members",
            )
