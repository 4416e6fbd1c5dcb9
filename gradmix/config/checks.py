"""What must hold between the keys of a configuration. Every check yields ``(path of the key, what is wrong)``."""

from collections.abc import Iterator

from gradmix.config.experiment import Config
from gradmix.config.messages import nearest
from gradmix.methods.registry import METHODS

Problem = tuple[str, str]


def problems_of(config: Config) -> list[Problem]:
    """All problems of a configuration whose keys and types are right."""
    problems = [*_label_spaces(config), *_domains(config), *_target(config), *_methods(config)]
    # What follows asks for the methods' recipes.
    return problems or [*_overrides(config), *_pseudo_labels(config)]


def _label_spaces(config: Config) -> Iterator[Problem]:
    spaces = list(config.label_spaces.items())
    for index, (name, classes) in enumerate(spaces):
        for other, other_classes in spaces[:index]:
            if classes == other_classes:
                what = f"has the same classes as {other}; use one name for one label space"
            elif set(classes) == set(other_classes):
                what = f"has the classes of {other} in another order; labels would not agree"
            else:
                continue
            yield f"label_spaces.{name}", what


def _domains(config: Config) -> Iterator[Problem]:
    for name, domain in config.domains.items():
        space = domain.label_space
        if space not in config.label_spaces:
            hint = nearest(space, config.label_spaces)
            yield f"domains.{name}.label_space", f"there is no label space {space!r}{hint}"
            continue
        for old, new in (domain.classes or {}).items():
            if new not in config.label_spaces[space]:
                known = ", ".join(config.label_spaces[space])
                yield (
                    f"domains.{name}.classes.{old}",
                    f"{new!r} is no class of label space {space} ({known})",
                )


def _target(config: Config) -> Iterator[Problem]:
    target, domains = config.target, config.domains
    named = {f"sources[{index}]": name for index, name in enumerate(config.sources)}
    named["target.domain"] = target.domain
    if target.test_domain is not None:
        named["target.test_domain"] = target.test_domain
    unknown = {path: name for path, name in named.items() if name not in domains}
    for path, name in unknown.items():
        yield path, f"there is no domain {name!r}{nearest(name, domains)}"
    if target.domain in config.sources:
        yield "target.domain", f"{target.domain} is also a source"
    if target.test_domain is None and target.test_per_class is None:
        yield (
            "target.test_per_class",
            "must be given where target.test_domain is null (test images are cut from the target)",
        )
    if target.test_domain is not None and target.test_domain in (target.domain, *config.sources):
        yield (
            "target.test_domain",
            f"{target.test_domain} is also the target or a source; null cuts test images from the target",
        )
    if unknown:
        return
    space = domains[target.domain].label_space
    if all(domains[source].label_space != space for source in config.sources):
        yield "target.domain", f"no source shares its label space {space}: at least one must"
    if target.test_domain is not None and domains[target.test_domain].label_space != space:
        other = domains[target.test_domain].label_space
        yield "target.test_domain", f"its label space is {other}, but the target's is {space}"


def _methods(config: Config) -> Iterator[Problem]:
    for name, method in config.methods.items():
        if method.recipe is not None and method.recipe not in METHODS:
            hint = nearest(method.recipe, METHODS)
            yield f"methods.{name}.recipe", f"there is no recipe {method.recipe!r}{hint}"
        elif method.recipe is None and name not in METHODS:
            yield (
                f"methods.{name}",
                f"no recipe has this name{nearest(name, METHODS)} "
                "(a method with a name of its own needs `recipe`)",
            )
        elif method.recipe is not None and name in METHODS and name != method.recipe:
            yield f"methods.{name}.recipe", f"the name {name} is kept for the recipe of that name"


def _overrides(config: Config) -> Iterator[Problem]:
    for name, method in config.methods.items():
        settings = config.method_settings(name)
        for section in ("training", "gradmix"):
            used = settings.get(section, {})
            for key in method.overrides(section):
                if key not in used:
                    known = ", ".join(used) or f"no key of {section}"
                    yield (
                        f"methods.{name}.{section}.{key}",
                        f"has no effect: recipe {settings['recipe']} uses {known}",
                    )


def _pseudo_labels(config: Config) -> Iterator[Problem]:
    if not any(config.recipe(name).needs_pseudo_labels for name in config.methods):
        return
    members, models = len(config.grid_members()), config.pseudo_labels.models
    if members < models:
        yield (
            "pseudo_labels.models",
            f"is {models}, but the grid has only {members} members (grid.beta x grid.gamma)",
        )
    most = max(config.labels_per_class)
    if config.pseudo_labels.enlarge_to < most:
        yield (
            "pseudo_labels.enlarge_to",
            f"is {config.pseudo_labels.enlarge_to}, less than the {most} labels per class that V starts with",
        )
