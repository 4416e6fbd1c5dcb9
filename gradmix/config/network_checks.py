"""Checks of the network's section, and of what methods change of it. Each yields ``(path of the key, fault)``."""

from collections.abc import Iterable, Iterator

from gradmix.config.experiment import Config
from gradmix.config.messages import Problem
from gradmix.config.method_checks import paths_of
from gradmix.config.models import Overrides
from gradmix.nets.registry import NETWORKS, no_effect


def networks_of(config: Config) -> Iterator[Problem]:
    """Check that the network takes the keys given for it, in methods and candidates too, and images of this size."""
    name = config.network.name
    part = NETWORKS[name]
    yield from _untaken(config, "network", config.network.model_fields_set)
    for side in ("height", "width", "crop"):
        pixels = getattr(config.image, side)
        if pixels is not None and pixels < part.smallest_image:
            yield (
                f"image.{side}",
                f"is {pixels}, but {name} takes images of at least {part.smallest_image} pixels",
            )
    for path, method, section in paths_of(config):
        recipe = config.recipe(method)
        for key in recipe.network:
            if key not in (*part.options, *part.by_recipe):
                yield path, f"recipe {recipe.name} sets network.{key}, which {no_effect(name)}"
        yield from _overrides(config, path, section)
        for candidate, overrides in section.candidates.items():
            yield from _overrides(config, f"{path}.candidates.{candidate}", overrides)
    for candidate, overrides in config.tuning.candidates.items():
        yield from _overrides(config, f"tuning.candidates.{candidate}", overrides)


def _overrides(config: Config, path: str, own: Overrides) -> Iterator[Problem]:
    values = own.overrides("network")
    yield from _untaken(config, f"{path}.network", values)
    if values.get("name", config.network.name) != config.network.name:
        yield f"{path}.network.name", f"all methods train one network, {config.network.name}"
    # One file of weights serves an experiment; whether a method starts from it is the method's choice.
    weights, shared = values.get("weights", "none"), config.network.weights
    if weights not in ("none", shared):
        yield (
            f"{path}.network.weights",
            f"is {weights}, but network.weights is {shared}: all methods start from that or from none",
        )


def _untaken(config: Config, path: str, keys: Iterable[str]) -> Iterator[Problem]:
    for key in keys:
        if key not in ("name", *NETWORKS[config.network.name].options):
            yield f"{path}.{key}", no_effect(config.network.name)
