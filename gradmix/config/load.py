"""Reads a configuration: gives a `Config`, or one report of all that is wrong."""

import copy
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from gradmix.config.checks import problems_of
from gradmix.config.experiment import Config
from gradmix.config.messages import Location, Problem, describe, dotted
from gradmix.config.origins import origins


class ConfigError(ValueError):
    """Raised for a configuration that cannot be used; the message lists all problems, each with the path of its key."""


def load_config(values: Mapping[str, Any], path: str = "configuration") -> Config:
    """Check a configuration and fill in defaults.

    Args:
        values: the content of a YAML file, or what Snakemake made of several.
        path: where it comes from, for messages.

    Raises:
        ConfigError: for unknown keys (with the nearest known one), missing keys, wrong types, values out of range,
            and keys that contradict each other; all at once.
    """
    problems: list[Problem] = []
    config = _validate(values, problems)
    if config is None:
        # Keys that depend on each other are checked as far as the rest of the configuration allows.
        config = _validate(_without(values, problems), [])
    if config is not None:
        problems += [problem for problem in problems_of(config) if problem not in problems]
    if problems or config is None:
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "".join(f"\n  {key}: {what}" for key, what in problems)
        raise ConfigError(f"{path}: {count} in the configuration{lines}")
    return config


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


def _validate(values: Any, problems: list[Problem]) -> Config | None:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        for item in error.errors():
            location, keys = _location(item["loc"])
            problems.append((dotted(location), describe(item, location, keys)))
        return None


def _location(location: Location) -> tuple[Location, Sequence[str]]:
    """Locate a key in the user's file, and list the keys that are known there.

    Pydantic puts ``[key]`` and the domain's origin into its locations.
    """
    parts = [part for part in location if part != "[key]"]
    if len(parts) > 2 and parts[0] == "domains" and parts[2] in origins():
        keys = [f"domains.*.{key}" for key in _keys(origins()[str(parts.pop(2))])]
        return parts, [*(key for key in known_keys() if not key.startswith("domains.")), *keys]
    return parts, known_keys()


def _without(values: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """Copy the configuration without the keys at fault (lists at fault go as a whole)."""
    rest: dict[str, Any] = copy.deepcopy(dict(values))
    for path, _ in problems:
        *sections, key = path.partition("[")[0].split(".")
        inner: Any = rest
        for section in sections:
            inner = inner.get(section) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            inner.pop(key, None)
    return rest
