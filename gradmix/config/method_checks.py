"""Checks of methods, their candidates and ablations. Each yields ``(path of the key, fault)``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gradmix.config.experiment import Config
from gradmix.config.messages import Problem, nearest, unknown_k
from gradmix.config.models import Method, Overrides
from gradmix.methods.mixers import MIXERS
from gradmix.methods.recipes import METHODS
from gradmix.terms.registry import TERMS


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
        given = recipe.mixer != "fixed_weights" or settings["options"]["fixed_weights"]["weights"]
        if tried == 1 and not given:
            yield (
                path,
                "has no weights: give options.fixed_weights.weights, or candidates with them",
            )
        if tried > config.tuning.budget:
            yield path, f"tries {tried} settings, more than tuning.budget ({config.tuning.budget})"
        if method.overrides("network") and recipe.starts_from:
            yield f"{path}.network", f"has no effect: it starts from {recipe.starts_from}'s network"
        if method.sources and not settings["sources"]:
            yield f"{path}.sources", f"has no effect: recipe {recipe.name} sees no source"


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
    for part, values in own.options.items():
        if part not in options:
            known = ", ".join(options) or "no part with options"
            yield f"{path}.options.{part}", f"recipe {settings['recipe']} has {known}"
            continue
        for key, value in values.items():
            allowed = MIXERS[part].allowed if part in MIXERS else {}
            yield from _option(f"{path}.options.{part}", key, value, options[part], allowed)


def _option(
    path: str, key: str, value: Any, known: Mapping[str, Any], allowed: Mapping[str, Sequence[str]]
) -> Iterator[Problem]:
    if key not in known:
        yield f"{path}.{key}", f"unknown option ({', '.join(known)}){nearest(key, known)}"
        return
    default = known[key]
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    wanted = (int, float) if is_number else type(default)
    if not isinstance(value, wanted) or (is_number and isinstance(value, bool)):
        kind = (
            "a number"
            if is_number
            else {bool: "true or false", dict: "a section"}.get(type(default), "text")
        )
        yield f"{path}.{key}", f"must be {kind}, but is {value!r}"
    elif key == "average" and not 0 <= value < 1:
        yield f"{path}.{key}", f"must be in [0, 1), but is {value!r}"
    elif key in allowed and value not in allowed[key]:
        yield f"{path}.{key}", f"must be {' or '.join(allowed[key])}, but is {value!r}"


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
