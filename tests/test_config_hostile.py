"""Hostile values in every field of the configuration: taken, or refused in our own words with the path of a key."""

import json
import re

import pytest
from hostile_values import NAME, VALUES, base, cases, paths, put

from gradmix.config import ConfigError, load_config

# Words of the library that checks types, and names of our classes and types.
FOREIGN = re.compile(
    r"Input should|should be a valid|type=|pydantic|For further information|function-(before|after|wrap)|literal\[|"
    r"constrained|\[key\]|<class|Annotated|Section\(|object at 0x|Traceback|is not understood"
)
BASE = base()
LEAVES = [
    path
    for path in paths()
    if not any(other[: len(path)] == path for other in paths() if other != path)
]
SECTIONS = [path for path in paths() if path not in LEAVES]
# Candidates and ablations' methods have the sections that methods have.
OWN_SECTIONS = [
    path
    for path in SECTIONS
    if "candidates" not in path[:-1] and path[:3] != ("ablations", NAME, "methods")
]


def checked(values) -> bool:
    """Whether it is taken; if not, the message is looked at."""
    try:
        config = load_config(values, "mine.yaml")
    except ConfigError as error:
        (first, *lines), problems = str(error).split("\n"), error.problems
        assert re.fullmatch(r"mine\.yaml: (one problem|\d+ problems) in the configuration", first)
        assert 0 < len(lines) <= 11
        assert lines[:10] == [f"  {key}: {what}" for key, what in problems[:10]]
        for key, what in problems:
            line = f"{key}: {what}"
            assert re.match(r"\S", line), line
            assert what, line
            assert len(line) < 1500, line
            assert not FOREIGN.search(line), line
            assert line.isprintable(), ascii(line)
            assert names_a_place(key, what, values), line
        return False
    # What is taken can be written down.
    json.dumps(config.resolved(), allow_nan=False)
    for name in config.methods:
        json.dumps(config.method_settings(name).to_json(), allow_nan=False)
    return True


def names_a_place(path: str, what: str, values) -> bool:
    """Whether the keys of a dotted path are in the configuration, but for the last one where it is missing."""
    if "'" in path or len(path) > 200:  # a key that cannot be written as it is
        return True
    *sections, last = re.findall(r"[^.\[\]]+", path)
    for key in sections:
        values = inside(values, key)
    return what == "is missing" or values is None or inside(values, last) is not MISSING


MISSING = object()


def inside(values, key):
    if isinstance(values, list):
        return values[int(key)]
    if isinstance(values, dict):
        return {str(k): v for k, v in values.items()}.get(key, MISSING)
    return MISSING if values is MISSING else None


def test_the_base_holds_every_section_and_is_taken():
    assert checked(BASE)
    assert len(LEAVES) > 300
    assert len(OWN_SECTIONS) > 30


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_in_every_field_at_once(kind):
    values = BASE
    # A domain without an origin has no keys.
    for path in [path for path in LEAVES if path[-1] != "origin"]:
        values = put(values, path, VALUES[kind])
    assert not checked(values)


@pytest.mark.parametrize("start", range(4))
def test_a_value_in_every_field_by_itself(start):
    kinds = list(VALUES.values())
    for number, path in enumerate(LEAVES):
        if number % 4 == start:
            checked(put(BASE, path, kinds[(7 * number) % len(kinds)]))


@pytest.mark.parametrize("kind", ["nothing", "true", "empty list", "section", "nested"])
def test_a_value_in_place_of_every_section(kind):
    for path in OWN_SECTIONS:
        checked(put(BASE, path, VALUES[kind]))


@pytest.mark.long
def test_a_quarter_of_all_values_in_all_fields():
    taken = [checked(put(BASE, path, value)) for path, value in list(cases())[::4]]
    assert len(taken) > 6000
    assert 100 < sum(taken) < 3000
