"""Builds a run's network from its settings, and loads weights into it."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gradmix.nets.weights import read_weights
from gradmix.seeds import derive_seed


def build_network(
    settings: Mapping[str, Any],
    label_spaces: Mapping[str, int],
    image: Mapping[str, Any],
    domains: Sequence[str],
    *,
    seed: int,
) -> nn.Module:
    """Build the network that ``settings`` (the configuration's ``network``) describe, initialised by ``seed``.

    Args:
        settings: ``name``, which is its module in this package, and options that its class takes; ``weights`` is
            passed over (see `load_pretrained`).
        label_spaces: number of classes of each label space.
        image: ``height`` and ``width`` in pixels; ``crop``, where only a square of this side is seen.
        domains: names of the domains, for per-domain statistics.
        seed: of the initial weights; torch's global generator is left as it was.
    """
    options = {key: value for key, value in settings.items() if key not in ("name", "weights")}
    kind = import_module(f"gradmix.nets.{settings['name']}").NETWORK
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = kind(
            label_spaces,
            image_size=input_size(image),
            domains=domains,
            **options,
        )
        # Every head from a seed of its own: methods that know different label spaces start alike in what they share.
        for name, head in zip(label_spaces, network.heads.linear, strict=True):  # type: ignore[union-attr, arg-type]
            torch.manual_seed(derive_seed(seed, "head", name))
            head.reset_parameters()
    return network


def input_size(image: Mapping[str, Any]) -> tuple[int, int]:
    """Give the height and width that a network sees of stored images."""
    crop = image.get("crop")
    return (crop, crop) if crop else (image["height"], image["width"])


def load_pretrained(network: nn.Module, settings: Mapping[str, Any], weights: Path | None) -> None:
    """Load the pretrained backbone where ``settings`` ask for one.

    Args:
        network: built from the same settings.
        settings: the configuration's ``network``.
        weights: file that `gradmix.nets.weights.write_weights` wrote.

    Raises:
        ValueError: if there is no file, or it does not fit the network.
    """
    if settings.get("weights", "none") == "none":
        return
    if weights is None:
        raise ValueError(f"network.weights: {settings['weights']}, but no file of weights is given")
    network.load_backbone(read_weights(weights), str(weights))  # type: ignore[operator]


def start_from(network: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Load another method's network; parts that only this method's recipe asks for keep their initial weights.

    Args:
        network: the network that takes them.
        state: a finished run's model.
        origin: file of the state, for messages.

    Raises:
        ValueError: if it is another network's.
    """
    own = tuple(f"{part}." for part in getattr(network, "recipe_parts", ()))
    mismatch = network.load_state_dict(state, strict=False)
    missing = [name for name in mismatch.missing_keys if not name.startswith(own)]
    if missing or mismatch.unexpected_keys:
        first = (missing or mismatch.unexpected_keys)[0]
        raise ValueError(f"{origin}: the model of another network ({first})")
