"""Checks of sets of sources: conditions', and methods' own. Each yields ``(path of the key, fault)``."""

from collections.abc import Iterator, Sequence

from gradmix.config.experiment import Config
from gradmix.config.messages import Problem, nearest, unknown_k


def source_sets_of(config: Config) -> Iterator[Problem]:
    """Check that sources exist and one has the target's classes; that conditions differ and one is the main one."""
    seen: dict[tuple[str, ...], str] = {}
    for name, condition in config.conditions.items():
        path = f"conditions.{name}"
        yield from _sources(config, f"{path}.sources", condition.sources)
        if condition.sources in seen:
            yield f"{path}.sources", f"are those of condition {seen[condition.sources]}"
        seen[condition.sources] = name
        own = condition.labels_per_class
        yield from unknown_k(f"{path}.labels_per_class", own, config.labels_per_class)
        for method in condition.methods:
            if method not in config.methods:
                yield (
                    f"{path}.methods",
                    f"no method {method!r} is listed{nearest(method, config.methods)}",
                )
    if config.conditions and config.sources not in seen:
        yield (
            "conditions",
            f"one must have the experiment's own sources ({', '.join(config.sources)})",
        )
    homes = {"methods": config.methods}
    homes |= {f"ablations.{key}.methods": a.methods for key, a in config.ablations.items()}
    for home, methods in homes.items():
        for name, method_section in methods.items():
            yield from _sources(config, f"{home}.{name}.sources", method_section.sources)


def parts_of(config: Config) -> Iterator[Problem]:
    """Check that methods can take part in the conditions that name them."""
    main = config.main_condition()
    for name, condition in config.conditions.items():
        if name == main and (condition.labels_per_class or condition.methods):
            key = "methods" if condition.methods else "labels_per_class"
            yield (
                f"conditions.{name}.{key}",
                "has no effect: these are the experiment's own sources",
            )
        for method in condition.methods:
            if why := config.no_part(method):
                yield f"conditions.{name}.methods", f"{method} cannot take part: it {why}"


def _sources(config: Config, path: str, sources: Sequence[str]) -> Iterator[Problem]:
    unknown = [source for source in sources if source not in config.domains]
    for source in unknown:
        yield path, f"there is no domain {source!r}{nearest(source, config.domains)}"
    target = config.target
    for source in sources:
        if source in (target.domain, target.test_domain):
            yield path, f"{source} is also the target or its test domain"
    if sources and not unknown and target.domain in config.domains:
        space = config.domains[target.domain].label_space
        if all(config.domains[source].label_space != space for source in sources):
            yield path, f"none shares the target's label space {space}: at least one must"
