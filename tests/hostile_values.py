"""Hostile values for every field of the configuration, and a small valid configuration that holds all fields.

`cases` yields ``(path, value)``: the keys from the top to a field, and what is put there with `put`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel

from gradmix.config import Config
from gradmix.config.origins import origins
from gradmix.methods.mixers import MIXERS
from gradmix.methods.recipes import RECIPES

Keys = tuple[str, ...]
NAME = "mine"
"""Stands for names of the user's own."""

VALUES: dict[str, Any] = {
    "nothing": None,
    "not a number": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "empty text": "",
    "a space": " ",
    "a line break": "a\nb",
    "control characters": "a\x00\x1b[31m\x7f",
    "a lone surrogate": "a\udcff",
    "right to left": "\u202eabc",
    "emoji": "🙂",
    "minus one": -1,
    "zero": 0,
    "a half": 0.5,
    "huge number": 1e30,
    "huge whole number": 10**30,
    "huge number as text": "1e400",
    "beyond 64 bits": 2**64,
    "tiny": 5e-324,
    "true": True,
    "false": False,
    "yes": "yes",
    "none": "none",
    "all": "all",
    "auto": "auto",
    "number with spaces": " 1 ",
    "number with underscores": "1_000",
    "bytes": b"abc",
    "a date": yaml.safe_load("2024-01-01"),
    "a set": {"a"},
    "empty list": [],
    "list of nothing": [None],
    "list of not a number": [float("nan")],
    "list of minus one": [-1],
    "list of huge": [10**30],
    "list of lists": [[1], [1]],
    "list of a section": [{"a": 1}],
    "list twice the same": ["a", "a"],
    "many entries": list(range(100)),
    "empty section": {},
    "section": {"a": 1},
    "section of nothing": {None: None},
    "section with a number as key": {1: 1},
    "section with true as key": {True: True},
    "nested": {"a": {"b": {"c": [{"d": None}]}}},
    "upwards": "../x",
    "a path": "a/b",
    "root": "/",
    "home": "~",
    "variable": "$HOME",
    "braces": "{draw}",
    "unclosed brace": "{",
    "pattern": "(",
    "very long": "a" * 5000,
    "option": "--help",
    "formula": "=1+1",
    "mark-up": "<b>$x$&amp;",
}

DOMAINS: dict[str, dict[str, Any]] = {
    "mnist": {"split": "train"},
    "svhn": {"split": "train"},
    "arrays": {"file": "mine.npz"},
    "ucf101": {"part": "train", "every": 5},
    "image_folder": {"folder": "images"},
    "clip_folder": {"folder": "clips", "every": 5},
    "manifest": {"kind": "images", "file": "mine.csv"},
    "perturbed": {"of": f"{NAME}_mnist"},
}


def base() -> dict[str, Any]:
    """A valid configuration with every origin, mixer and term, and an entry of every section that takes names."""
    path = Path(__file__).parents[1] / "config" / "config.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["label_spaces"][NAME] = ["a", "b"]
    for origin in origins():
        own = {} if origin == "perturbed" else {"label_space": NAME, "classes": {"x": "a"}}
        values["domains"][f"{NAME}_{origin}"] = {
            "origin": origin,
            **own,
            **DOMAINS.get(origin, {}),
        }
    values["methods"] |= _methods_with_options()
    pooled = {"recipe": "pooled", "title": "Mine"}
    values["methods"][NAME] = pooled | {"candidates": {NAME: {"training": {"steps": 7}}}}
    values["ablations"] = {
        NAME: {"title": "Mine", "methods": {NAME: {}, "pooled": {}}},
    }
    values["conditions"][NAME] = {"title": "Mine", "sources": ["rendered_5_9", "near"]}
    values["tuning"] = {"budget": 9, "candidates": {NAME: {"training": {"steps": 9}}}}
    return values


def put(values: Mapping[str, Any], path: Keys, value: Any) -> dict[str, Any]:
    """A copy of the configuration with a value in this place."""
    key, *below = path
    inner = values.get(key)
    section = inner if isinstance(inner, Mapping) else {}
    return {**values, key: put(section, tuple(below), value) if below else value}


def cases() -> Iterator[tuple[Keys, Any]]:
    """Every field with every hostile value."""
    for path in paths():
        for value in VALUES.values():
            yield path, value


def paths() -> list[Keys]:
    """The keys to every field that the model declares, and to every option of mixers and terms."""
    named = [
        ("methods", name, "options", part, option)
        for name, method in _methods_with_options().items()
        for part, own in method["options"].items()
        for option in own
    ]
    return list(dict.fromkeys([*_fields(Config, ()), *named]))


def _methods_with_options() -> dict[str, dict[str, Any]]:
    """A method for every part that has options, which holds them at their defaults."""
    methods: dict[str, dict[str, Any]] = {}
    for recipe in RECIPES:
        # The default network takes no energies.
        if "energy" in recipe.network:
            continue
        for part, own in recipe.default_options().items():
            if part == "fixed_weights":
                own = {"weights": {"V": 2.0}}
            given = {"recipe": recipe.name, "options": {part: own}}
            methods.setdefault(f"{NAME}_{part}", given)
    assert {f"{NAME}_{name}" for name, part in MIXERS.items() if part.options} <= set(methods)
    return methods


def _fields(model: type[BaseModel], prefix: Keys) -> Iterator[Keys]:
    for name, field in model.model_fields.items():
        path = (*prefix, name)
        yield path
        yield from _below(field.annotation, path)


def _below(annotation: Any, path: Keys) -> Iterator[Keys]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _fields(annotation, path)
    elif getattr(annotation, "__origin__", None) is dict:
        inner = get_args(annotation)[1]
        if path == ("domains",):
            for origin, section in origins().items():
                yield (*path, f"{NAME}_{origin}")
                yield from _fields(section, (*path, f"{NAME}_{origin}"))
        else:
            yield (*path, NAME)
            yield from _below(inner, (*path, NAME))
    else:
        for part in get_args(annotation):
            yield from _below(part, path)
