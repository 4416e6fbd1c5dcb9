"""Reads a configuration: gives a `Config`, or one report of all that is wrong."""

import copy
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import takewhile
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from gradmix.config.checks import problems_of
from gradmix.config.experiment import Config
from gradmix.config.messages import Location, Problem, describe, dotted
from gradmix.config.origins import origins

_SHOWN = 10


class ConfigError(ValueError):
    """Raised for a configuration that cannot be used; the message lists the first problems.

    Attributes:
        problems: all of them, where they are problems of keys: path of the key, and what is wrong with it.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


def load_config(values: Mapping[str, Any], path: str = "configuration") -> Config:
    """Check a configuration and fill in defaults.

    Args:
        values: the content of a YAML file, or what Snakemake made of several.
        path: where it comes from, for messages.

    Raises:
        ConfigError: for unknown keys (with the nearest known one), missing keys, wrong types, values out of range,
            and keys that contradict each other; all at once.
    """
    config, faults = _validate(values)
    problems = [(dotted(location), what) for location, what in faults]
    if config is None:
        # Keys that depend on each other are checked as far as the rest of the configuration allows.
        removed = [_removed(location) for location, _ in faults]
        if not any(len(path) <= 2 and path[:1] in _NAMED for path in removed):
            config, _ = _validate(_without(values, removed))
    if config is not None:
        problems += [problem for problem in problems_of(config) if problem not in problems]
    if problems or config is None:
        raise refusal(path, problems)
    return config


def refusal(path: str, problems: Sequence[Problem]) -> ConfigError:
    """Put the problems of a configuration from `path` into one error."""
    count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = "".join(f"\n  {key}: {what}" for key, what in problems[:_SHOWN])
    more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return ConfigError(f"{path}: {count} in the configuration{lines}{more}", problems)


def json_schema() -> dict[str, Any]:
    """Describe the configuration by a JSON schema."""
    return Config.model_json_schema()


@cache
def known_keys() -> tuple[str, ...]:
    """List dotted paths of all keys, with ``*`` for names that the user gives: ``domains.*.split``."""
    return tuple(dict.fromkeys(_keys(Config)))


def _keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, field in model.model_fields.items():
        keys.append(f"{prefix}{name}")
        for inner, below in _models(field.annotation, f"{prefix}{name}."):
            keys += _keys(inner, below)
    return keys


def _models(annotation: Any, prefix: str) -> list[tuple[type[BaseModel], str]]:
    """List the sections that a value of this type holds, each with the path that its keys begin with."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [(annotation, prefix)]
    if getattr(annotation, "__origin__", None) is dict:
        return _models(get_args(annotation)[1], f"{prefix}*.")
    return [section for part in get_args(annotation) for section in _models(part, prefix)]


def _validate(values: Any) -> tuple[Config | None, list[tuple[Location, str]]]:
    """Give the configuration, or all that is wrong with single keys."""
    try:
        return Config.model_validate(values), []
    except ValidationError as error:
        items = error.errors(include_url=False)
    faults: list[tuple[Location, str]] = []
    words: dict[Location, tuple[str, str]] = {}
    for item in items:
        location, keys = _location(item, values)
        what = describe(item, location, keys)
        # A key that takes words or something else has a fault of either kind.
        if item["type"] == "literal_error" and str(item["loc"][-1]).startswith("literal["):
            words[location] = (item["ctx"]["expected"], what)
        else:
            faults.append((location, what))
    for location, (expected, what) in words.items():
        places = [index for index, (other, _) in enumerate(faults) if other == location]
        if places:
            faults[places[0]] = (location, f"{faults[places[0]][1]}; it takes {expected}, too")
        elif not any(other[: len(location)] == location for other, _ in faults):
            faults.append((location, what))
    return None, list(dict.fromkeys(faults))


def _location(item: Any, values: Any) -> tuple[Location, Sequence[str]]:
    """Locate a key in the user's file, and list the keys that are known there.

    Pydantic puts ``[key]``, the domain's origin and the types of a union into its locations.
    """
    given = [part for part in item["loc"] if part != "[key]"]
    tag = str(given[2]) if len(given) > 2 and given[0] == "domains" else ""
    location: list[int | str] = []
    for position, part in enumerate(given, 1):
        if isinstance(values, Mapping):
            named = {str(key): value for key, value in values.items()}
            missing = position == len(given) and item["type"] == "missing"
            if str(part) not in named and not missing:
                continue
            values = named.get(str(part))
        elif isinstance(part, int) and isinstance(values, list | tuple) and part < len(values):
            values = values[part]
        else:
            continue
        location.append(part)
    if tag in origins():
        keys = [f"domains.*.{key}" for key in _keys(origins()[tag])]
        return tuple(location), [
            *(key for key in known_keys() if not key.startswith("domains.")),
            *keys,
        ]
    return tuple(location), known_keys()


# What other keys name: without it, they would name nothing.
_NAMED: tuple[list[str], ...] = ([], ["label_spaces"], ["domains"], ["methods"], ["conditions"])


def _removed(location: Location) -> list[str]:
    """Keys to what is left out to check the rest (lists at fault go as a whole)."""
    return [str(key) for key in takewhile(lambda key: isinstance(key, str), location)]


def _without(values: Mapping[str, Any], paths: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Copy the configuration without what stands in these places."""
    rest: dict[str, Any] = copy.deepcopy(dict(values))
    for *sections, last in paths:
        inner: Any = rest
        for section in sections:
            inner = inner.get(section) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner.pop(last, None)
    return rest
