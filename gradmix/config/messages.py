"""Turns pydantic's errors into messages that name the full path of the key and the nearest known one."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gradmix.config.origins import origins
from gradmix.config.types import shown

Location = tuple[int | str, ...]
Problem = tuple[str, str]
"""Path of a key, and what is wrong with it."""

_WORDS = {
    "missing": "is missing",
    "invalid_key": "must be text, but is {value}; put it in quotes",
    "recursion_loop": "holds itself",
    "string_unicode": "holds a character that cannot be printed: {value}",
    "int_parsing_size": "is too large: {value}",
    "string_pattern_mismatch": "{value} does not fit: letters, digits, - and _ are allowed",
    "string_type": "must be text, but is {value}",
    "float_type": "must be a number, but is {value}",
    "int_type": "must be a whole number, but is {value}",
    "int_from_float": "must be a whole number, but is {value}",
    "bool_type": "must be true or false, but is {value}",
    "bool_parsing": "must be true or false, but is {value}",
    "greater_than": "must be above {gt}, but is {value}",
    "greater_than_equal": "must be at least {ge}, but is {value}",
    "less_than_equal": "must be at most {le}, but is {value}",
    "less_than": "must be below {lt}, but is {value}",
    "finite_number": "must be a finite number, but is {value}",
    "literal_error": "must be one of {expected}, but is {value}",
    "model_type": "must be a section (`key: value` lines), but is {value}",
    "model_attributes_type": "must be a section (`key: value` lines), but is {value}",
    "dict_type": "must be a section (`key: value` lines), but is {value}",
    "tuple_type": "must be a list, but is {value}",
    "string_too_short": "must not be empty",
    "too_short": "needs at least {min_length} entries",
    "too_long": "takes at most {max_length} {unit}",
    "union_tag_not_found": "needs `origin` (known: {origins})",
    "union_tag_invalid": "there is no origin {tag} (known: {origins})",
}


def nearest(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """Suggest the nearest known name, ``"; did you mean gradmix?"``; nothing where none is like it."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {prefix}{close[0]}?" if close else ""


def dotted(location: Location) -> str:
    """Write ``("sources", 0)`` as ``sources[0]``."""
    text = ""
    for part in location:
        name = str(part) if str(part).isprintable() else ascii(part)
        text += f"[{part}]" if isinstance(part, int) else f".{name}" if text else name
    return text or "the whole"


def describe(error: Any, location: Location, known_keys: Sequence[str]) -> str:
    """Put one problem into words.

    Args:
        error: an entry of pydantic's ``ValidationError.errors()``.
        location: of the key, without the marks that pydantic adds for unions.
        known_keys: dotted paths of all keys, with ``*`` for names that the user gives.
    """
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        return "unknown key" + _suggestion(location, known_keys)
    if kind == "value_error":
        return str(error["ctx"]["error"])
    context = {key: _plain(item) for key, item in error.get("ctx", {}).items()}
    context |= {
        "value": shown(value),
        "unit": "characters" if isinstance(value, str) else "entries",
    }
    if kind.startswith("union_tag"):
        known = ", ".join(origins())
        tag = str(context.get("tag", ""))
        context["tag"], hint = shown(tag), nearest(tag, origins())
        return _WORDS[kind].format(origins=known, **context) + hint
    return _WORDS.get(kind, "is not understood: {value}").format(**context)


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value == int(value) else value


def _suggestion(location: Location, known_keys: Sequence[str]) -> str:
    """Suggest the nearest key of the same section, or one with nearly that name in another section."""
    key, section = str(location[-1]), _generic(location[:-1], known_keys)
    siblings = [
        known.rpartition(".")[2] for known in known_keys if known.rpartition(".")[0] == section
    ]
    prefix = f"{dotted(location[:-1])}." if len(location) > 1 else ""
    hint = nearest(key, siblings, prefix=prefix)
    if hint:
        return hint
    elsewhere = {
        known.rpartition(".")[2]: known for known in reversed(known_keys) if "*" not in known
    }
    match = difflib.get_close_matches(key, list(elsewhere), n=1, cutoff=0.8)
    if match:
        return f"; did you mean {elsewhere[match[0]]}?"
    return f" (known here: {', '.join(siblings)})" if siblings else ""


def unknown_k(path: str, chosen: Iterable[int], known: Sequence[int]) -> Iterator[Problem]:
    """Report every number of labels per class that the experiment does not have."""
    for k in chosen:
        if k not in known:
            yield path, f"{k} is none of labels_per_class ({', '.join(map(str, known))})"


def _generic(location: Location, known_keys: Sequence[str]) -> str:
    """Put ``*`` for the user's own names in the path of a section: ``domains.mine`` -> ``domains.*``."""
    path = ""
    for part in location:
        exact = f"{path}.{part}" if path else str(part)
        known = any(k == exact or k.startswith(f"{exact}.") for k in known_keys)
        path = exact if known else f"{path}.*"
    return path
