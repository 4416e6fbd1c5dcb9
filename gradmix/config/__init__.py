"""Typed configuration: one source for checks, defaults, documentation and the JSON schema. Imports no torch."""

from gradmix.config.experiment import Config, grid_member
from gradmix.config.load import ConfigError, json_schema, known_keys, load_config

__all__ = ["Config", "ConfigError", "grid_member", "json_schema", "known_keys", "load_config"]
