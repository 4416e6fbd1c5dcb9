"""Reads configuration files once more than Snakemake does, for what is lost once they are values: lines and doubles."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from gradmix.config.load import ConfigError

_WHOLE_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]{,99})")


def check_files(paths: Iterable[str | Path]) -> None:
    """Check that these are readable, and say what they seem to.

    Raises:
        ConfigError: for a file that is not YAML in UTF-8 with keys at its top, a key that stands twice, an alias to
            what it stands in, and a number in a notation that YAML 1.1 reads otherwise than people do.
    """
    for path in paths:
        read_file(path)


def read_file(path: str | Path) -> dict[str, Any]:
    """Read a configuration file.

    Raises:
        ConfigError: see `check_files`; with file, line and column.
    """
    text = _text(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(node, yaml.MappingNode):
            holds = {None: "nothing", "sequence": "a list"}.get(getattr(node, "id", None), "text")
            raise ConfigError(f"{path}: must hold `key: value` lines, but holds {holds}")
        for line, what in _faults(node, (), set()):
            raise ConfigError(f"{path}, line {line}: {what}")
        values: dict[str, Any] = yaml.safe_load(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"{path}, line {line}: holds the character {chr(error.character)!a}, which no text has"
        ) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{path}, {_described(error)}") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply") from None
    return values


def _text(path: str | Path) -> str:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: is not in UTF-8; save it in UTF-8") from None
    # JSON, which may hold tabs.
    return text.replace("\t", " ") if text.lstrip().startswith("{") else text


def _faults(node: yaml.Node, inside: tuple[int, ...], seen: set[int]) -> Iterator[tuple[int, str]]:
    """Find what YAML takes without a word, each with its line; what several aliases name is looked at once."""
    line = node.start_mark.line + 1
    if id(node) in inside:
        yield line, "holds an alias to itself"
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode) and not node.style and (what := _reads_as(node)):
        yield line, f'{node.value[:50]} is {what} in YAML; put it in quotes, "...", for text'
    below: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        below = node.value
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            below += [key, value]
            here = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                yield here, "a key must be text"
            elif key.value in lines:
                first = lines[key.value]
                where = "twice in this line" if first == here else f"in line {first}, too"
                yield here, f"the key {key.value} stands {where}; keep one of them"
            else:
                lines[key.value] = here
    for other in below:
        yield from _faults(other, (*inside, id(node)), seen)


def _reads_as(node: yaml.ScalarNode) -> str | None:
    """Say what a value without quotes is where it looks like something else."""
    kind = node.tag.rpartition(":")[2]
    if kind == "timestamp":
        return "a date"
    if kind != "int" or _WHOLE_NUMBER.fullmatch(node.value):
        return None
    # Python writes no numbers of thousands of digits.
    return f"the number {yaml.safe_load(node.value)}" if len(node.value) < 100 else "a number"


def _described(error: yaml.MarkedYAMLError) -> str:
    """Put where YAML's reader stopped, and why, into one line."""
    at, begun = error.problem_mark, error.context_mark
    context = error.context or ""
    if begun and at and begun.line != at.line:
        context += f" that begins in line {begun.line + 1}"
    place = f"line {at.line + 1}, column {at.column + 1}: " if at else ""
    return f"{place}not valid YAML: {', '.join(filter(None, [context, error.problem]))}"
