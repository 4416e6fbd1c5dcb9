"""GradMix with eta fixed at 1."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradmix.methods.mixers import gradmix


def make(network: Any, settings: Mapping[str, Any], source_names: Sequence[str]) -> Any:
    """`gradmix.mixing.gradmix.GradMix` without its adaptive rate."""
    return gradmix.make(network, settings, source_names, adaptive_rate=False)
