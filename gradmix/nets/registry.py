"""All networks: name in the configuration -> where its class is and which keys of ``network`` it takes.

Nothing heavy is imported before a network is built: the workflow and the configuration read this while they are parsed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gradmix.seeds import derive_seed

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

_COMMON = ("norm_statistics", "normalise", "head", "temperature")


@dataclass(frozen=True)
class NetworkPart:
    """What is known of a network before it is built.

    Attributes:
        module: where it is.
        kind: its class.
        options: the keys of the configuration's ``network`` that it takes, besides ``name``. ``weights`` is no
            argument of the class: it says that there are pretrained weights, which `load_backbone` takes.
        by_recipe: further arguments of the class, which only a method's recipe sets.
        smallest_image: least height and width of its images, in pixels.
    """

    module: str
    kind: str
    options: tuple[str, ...]
    by_recipe: tuple[str, ...] = ()
    smallest_image: int = 1

    @property
    def takes_weights(self) -> bool:
        """Whether its backbone can start from pretrained weights."""
        return "weights" in self.options


NETWORKS: dict[str, NetworkPart] = {
    "convnet": NetworkPart("gradmix.nets.convnet", "ConvNet", ("width", "hidden", *_COMMON)),
    "resnet18": NetworkPart(
        "gradmix.nets.resnet", "ResNet18", ("weights", *_COMMON), ("energy",), smallest_image=32
    ),
}


def no_effect(name: str) -> str:
    """What is wrong with a key that network ``name`` does not take."""
    return f"has no effect: {name} takes {', '.join(NETWORKS[name].options)}"


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
        settings: ``name`` and options that the network takes; ``weights`` is passed over (see `load_pretrained`).
        label_spaces: number of classes of each label space.
        image: ``height`` and ``width`` in pixels; ``crop``, where only a square of this side is seen.
        domains: names of the domains, for per-domain statistics.
        seed: of the initial weights; torch's global generator is left as it was.

    Raises:
        ValueError: if the name is unknown, or the network does not take an option.
    """
    import torch  # not at the top: the workflow reads NETWORKS while it is parsed

    options = dict(settings)
    name = options.pop("name")
    if name not in NETWORKS:
        raise ValueError(f"network.name: unknown network {name!r}; known are {', '.join(NETWORKS)}")
    part = NETWORKS[name]
    for key in options:
        if key not in (*part.options, *part.by_recipe):
            raise ValueError(f"network.{key}: {no_effect(name)}")
    options.pop("weights", None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = getattr(import_module(part.module), part.kind)(
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


def load_pretrained(
    network: "nn.Module", settings: Mapping[str, Any], weights: "Path | None"
) -> None:
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
    from safetensors.torch import load_file

    if weights is None:
        raise ValueError(f"network.weights: {settings['weights']}, but no file of weights is given")
    network.load_backbone(load_file(weights), str(weights))  # type: ignore[operator]


def start_from(network: "nn.Module", state: "Mapping[str, Tensor]", origin: str) -> None:
    """Load another method's network; parts that only this method's recipe asks for keep their initial weights.

    Args:
        network: where to.
        state: a finished run's model.
        origin: its file, for messages.

    Raises:
        ValueError: if it is another network's.
    """
    own = tuple(f"{part}." for part in getattr(network, "recipe_parts", ()))
    found = network.load_state_dict(state, strict=False)
    missing = [name for name in found.missing_keys if not name.startswith(own)]
    if missing or found.unexpected_keys:
        first = (missing or found.unexpected_keys)[0]
        raise ValueError(f"{origin}: the model of another network ({first})")
