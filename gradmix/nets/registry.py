"""All networks: name in the configuration -> module and class. One line per network."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gradmix.seeds import derive_seed

if TYPE_CHECKING:
    from torch import nn

NETWORKS: dict[str, str] = {
    "convnet": "gradmix.nets.convnet:ConvNet",
}


def build_network(
    settings: Mapping[str, Any],
    label_spaces: Mapping[str, int],
    image: Mapping[str, Any],
    domains: Sequence[str],
    *,
    seed: int,
) -> "nn.Module":
    """The network that ``settings`` (the configuration's ``network``) describe, initialised by ``seed``.

    Args:
        settings: ``name`` and the options of its class.
        label_spaces: number of classes of each label space.
        image: ``height`` and ``width`` in pixels; ``crop``, where only a square of this side is seen.
        domains: names of the domains, for per-domain statistics.
        seed: of the initial weights; torch's global generator is left as it was.

    Raises:
        ValueError: if the name is unknown.
    """
    import torch  # not at the top: the workflow reads NETWORKS while it is parsed

    options = dict(settings)
    name = options.pop("name")
    if name not in NETWORKS:
        raise ValueError(f"network.name: unknown network {name!r}; known are {', '.join(NETWORKS)}")
    module, kind = NETWORKS[name].split(":")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = getattr(import_module(module), kind)(
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
    """Height and width that a network sees of stored images."""
    crop = image.get("crop")
    return (crop, crop) if crop else (image["height"], image["width"])
