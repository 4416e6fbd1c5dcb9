"""The configuration as text for the report: YAML, in which long lists of names take few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LONG = 20
_WIDTH = 110


def configuration_text(configuration: Mapping[str, Any]) -> str:
    """Return the configuration as YAML; lists and mappings of more than 20 plain values run on within lines."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def sequence(dumper: yaml.SafeDumper, values: Any) -> yaml.Node:
        flow = len(values) > _LONG and all(map(_is_plain, values))
        return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flow)

    def mapping(dumper: yaml.SafeDumper, values: Any) -> yaml.Node:
        flow = len(values) > _LONG and all(map(_is_plain, values.values()))
        return dumper.represent_mapping("tag:yaml.org,2002:map", values.items(), flow_style=flow)

    Dumper.add_representer(list, sequence)
    Dumper.add_representer(tuple, sequence)
    Dumper.add_representer(dict, mapping)
    return str(
        yaml.dump(configuration, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    )


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float))
