"""The networks that a configuration can name, and the keys of ``network`` that each takes. Imports no torch.

A network's name is that of its module in this package, where ``NETWORK`` is its class.
"""

from dataclasses import dataclass

_COMMON = ("norm_statistics", "normalise", "head", "temperature")


@dataclass(frozen=True)
class NetworkPart:
    """Describes a network before it is built.

    Attributes:
        options: the keys of the configuration's ``network`` that it takes, besides ``name``. ``weights`` is no
            argument of the class: it says that there are pretrained weights, which `load_backbone` takes.
        by_recipe: further arguments of the class, which only a method's recipe sets.
        smallest_image: least height and width of its images, in pixels.
    """

    options: tuple[str, ...]
    by_recipe: tuple[str, ...] = ()
    smallest_image: int = 1

    @property
    def takes_weights(self) -> bool:
        """Whether its backbone can start from pretrained weights."""
        return "weights" in self.options


NETWORKS: dict[str, NetworkPart] = {
    "convnet": NetworkPart(("width", "hidden", *_COMMON)),
    "resnet18": NetworkPart(("weights", *_COMMON), ("energy",), smallest_image=32),
}


def no_effect(name: str) -> str:
    """Say what is wrong with a key that network ``name`` does not take."""
    return f"has no effect: {name} takes {', '.join(NETWORKS[name].options)}"
