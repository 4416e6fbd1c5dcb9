"""``python -m gradmix.config FILE ...`` says what is wrong with configuration files, merged as Snakemake does.

Where Snakemake says only that a file is no YAML, this names file, line and column.
"""

import sys
from collections.abc import Mapping
from typing import Any

from gradmix.config.files import read_file
from gradmix.config.load import ConfigError, load_config


def merged(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one configuration over another, key by key."""
    both = dict(values)
    for key, value in over.items():
        below = both.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            value = merged(below, value)
        both[key] = value
    return both


def main(paths: list[str]) -> str | None:
    """Check the files, and give the message if there is one."""
    values: dict[str, Any] = {}
    try:
        for path in paths:
            values = merged(values, read_file(path))
        load_config(values, ", ".join(paths))
    except ConfigError as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["config/config.yaml"]))
