"""Checks between the keys of a configuration. Every check yields ``(path of the key, what is wrong)``."""

from collections.abc import Iterator

from gradmix.config.condition_checks import parts_of, source_sets_of
from gradmix.config.experiment import Config
from gradmix.config.messages import Problem, nearest
from gradmix.config.method_checks import (
    forward_of,
    names_of,
    paths_of,
    pseudo_labels_of,
    settings_of,
)
from gradmix.config.network_checks import networks_of
from gradmix.config.origins import Perturbed, RawDomain
from gradmix.config.types import shown


def problems_of(config: Config) -> list[Problem]:
    """List all problems of a configuration with valid keys and types."""
    problems = [
        *_names(config),
        *_output(config),
        *_image(config),
        *_label_spaces(config),
        *_domains(config),
        *_shares(config),
        *_target(config),
        *source_sets_of(config),
        *names_of(config),
    ]
    if problems:
        return problems
    # These checks ask for the methods' recipes, which must exist.
    checks = (parts_of, networks_of, settings_of, forward_of, pseudo_labels_of)
    return list(dict.fromkeys(problem for check in checks for problem in check(config)))


# Sets of images that every run has, and what stands for no domain in the rules.
_NO_DOMAINS = ("V", "U", "H", "S_u", "none")


def _names(config: Config) -> Iterator[Problem]:
    """Check that names can be folders' names, side by side."""
    sections = ("label_spaces", "domains", "conditions", "ablations")
    names = {
        f"{section}.{name}": section for section in sections for name in getattr(config, section)
    }
    names |= {path: "methods" for path, _, _ in paths_of(config)}
    seen: dict[tuple[str, str], str] = {}
    for path, section in names.items():
        name = path.rpartition(".")[2]
        other = seen.setdefault((section, name.lower()), name)
        if other != name:
            yield (
                path,
                f"differs from {other} in capitals alone, which some file systems do not tell apart",
            )
        if section == "domains" and name in _NO_DOMAINS:
            yield path, f"a domain cannot be called {name}, which is the workflow's own word"


def _output(config: Config) -> Iterator[Problem]:
    if set("{}") & set(config.output_dir):
        yield "output_dir", "cannot hold { or }, which mark the varying parts of paths"


def _image(config: Config) -> Iterator[Problem]:
    image = config.image
    if image.crop is not None and image.crop > min(image.height, image.width):
        yield (
            "image.crop",
            f"{image.crop} is more than the images of {image.height} x {image.width} have",
        )


def _label_spaces(config: Config) -> Iterator[Problem]:
    spaces = [(name, space) for name, space in config.label_spaces.items() if space != "auto"]
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
        if isinstance(domain, Perturbed):
            yield from _perturbed(config, name, domain)
            continue
        space = domain.label_space
        if space not in config.label_spaces:
            hint = nearest(space, config.label_spaces)
            yield f"domains.{name}.label_space", f"there is no label space {space!r}{hint}"
            continue
        classes = config.label_spaces[space]
        if classes == "auto":
            users = [
                other
                for other, d in config.domains.items()
                if d.label_space == space and not isinstance(d, Perturbed)
            ]
            if len(users) > 1:
                what = (
                    f"auto takes the classes that one domain has, but {' and '.join(users)} use it"
                )
                yield f"label_spaces.{space}", f"{what}; list them"
            if domain.classes:
                yield f"domains.{name}.classes", f"has no effect: label space {space} is auto"
            continue
        for old, new in (domain.classes or {}).items():
            if new not in classes:
                known = ", ".join(classes)
                yield (
                    f"domains.{name}.classes.{old}",
                    f"{shown(new)} is no class of label space {space} ({known})",
                )
        for name_there in classes:
            renamed = domain.classes or {}
            if name_there in renamed and name_there not in renamed.values():
                what = f"leaves no class of the origin for {name_there!r} of label space {space}"
                yield f"domains.{name}.classes.{name_there}", what


def _perturbed(config: Config, name: str, domain: Perturbed) -> Iterator[Problem]:
    path = f"domains.{name}"
    original = config.domains.get(domain.of)
    if original is None:
        yield f"{path}.of", f"there is no domain {domain.of!r}{nearest(domain.of, config.domains)}"
    elif isinstance(original, Perturbed):
        yield f"{path}.of", f"{domain.of} is itself perturbed; name the domain that it is made of"
    elif domain.label_space != original.label_space:
        what = f"is {domain.label_space}, but that of {domain.of} is {original.label_space}"
        yield f"{path}.label_space", f"{what}; leave it out"


def _shares(config: Config) -> Iterator[Problem]:
    cut: dict[str, RawDomain] = {}
    for name, domain in config.domains.items():
        if isinstance(domain, Perturbed) or domain.share is None:
            continue
        path, (start, end) = f"domains.{name}.share", domain.share
        for other, theirs in cut.items():
            if theirs.share in (None, domain.share) or theirs.raw_data() != domain.raw_data():
                continue
            other_start, other_end = theirs.share
            if start < other_end and other_start < end:
                yield (
                    path,
                    f"[{start:g}, {end:g}] overlaps that of {other}, [{other_start:g}, {other_end:g}], "
                    "which is cut from the same raw data",
                )
            elif not domain.has_clips and domain.resize != theirs.resize:
                # Images without a group are told apart by their content, which resizing changes.
                yield path, f"does not keep it apart from {other}, whose `resize` differs"
        cut[name] = domain


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
    if unknown or any(not domains[name].label_space for name in named.values()):
        return
    space = domains[target.domain].label_space
    if all(domains[source].label_space != space for source in config.sources):
        yield "target.domain", f"no source shares its label space {space}: at least one must"
    if target.test_domain is not None and domains[target.test_domain].label_space != space:
        other = domains[target.test_domain].label_space
        yield "target.test_domain", f"its label space is {other}, but the target's is {space}"
