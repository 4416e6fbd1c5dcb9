"""The networks and batches whose steps are measured: digits, ResNet-18, a wide MLP, each with K sources and V.

The first source and V share a label space; the others have one each (digits, ResNet-18), or all sources take turns at
two (MLP, where K heads would be more than the shared layers).
Images are noise: no cost depends on what they show.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gradmix.nets.build import build_network
from gradmix.nets.heads import Heads

CLASSES = 5


class WideMLP(nn.Module):
    """Hidden layers of equal width with ReLU between, and a head per label space.

    Args:
        label_spaces: number of classes of each label space.
        inputs: numbers per example.
        hidden: number of hidden layers, which all sources share.
        width: of each of them.
    """

    def __init__(
        self,
        label_spaces: dict[str, int],
        *,
        inputs: int = 1024,
        hidden: int = 4,
        width: int = 1024,
    ) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for index in range(hidden):
            parts += [nn.Linear(width if index else inputs, width), nn.ReLU()]
        self.backbone = nn.Sequential(*parts)
        self.heads = Heads(width, label_spaces)

    def features(self, x: Tensor) -> Tensor:
        """(N, inputs) to (N, width)."""
        features: Tensor = self.backbone(x)
        return features

    def classify(self, features: Tensor, label_space: str) -> Tensor:
        """(N, classes) logits of (N, width) features."""
        logits: Tensor = self.heads(features, label_space)
        return logits


@dataclass(frozen=True)
class Batch:
    """One set's images, labels and the label space that they belong to."""

    images: Tensor
    labels: Tensor
    space: str


@dataclass
class Case:
    """A network, K source batches and V's.

    Attributes:
        name: as tables say it.
        network: with ``features``, ``classify`` and a ``backbone``.
        sources: a batch per source.
        target: V's batch.
        joint: images of all batches, V's last, as one tensor.
        device: where they are.
        goal: largest ratio to the limit that GradMix is meant to have here; None where none is set.
        heavy: whether only the most telling variants are measured, for the time they take.
    """

    name: str
    network: Any
    sources: list[Batch]
    target: Batch
    device: str
    goal: float | None = None
    heavy: bool = False
    joint: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.joint = torch.cat([batch.images for batch in self.batches])

    @property
    def batches(self) -> list[Batch]:
        """The sources', then V's."""
        return [*self.sources, self.target]

    @property
    def spaces(self) -> list[str]:
        """The label spaces, in the order of the network's heads."""
        return list(dict.fromkeys(batch.space for batch in self.sources))

    @property
    def gradient_bytes(self) -> int:
        """Of one gradient of the whole network."""
        return sum(p.numel() * p.element_size() for p in self.network.parameters())


Maker = Callable[[str], Case]


def make_case(
    name: str,
    network: Callable[[dict[str, int]], nn.Module],
    shape: tuple[int, ...],
    sources: int,
    batch: int,
    target: int,
    device: str,
    tasks: int,
    goal: float | None = None,
    heavy: bool = False,
) -> Case:
    """``sources`` batches of ``batch`` inputs of ``shape``, and ``target`` of V, in ``tasks`` label spaces."""
    torch.manual_seed(0)
    spaces = {f"space{index}": CLASSES for index in range(tasks)}
    names = [f"space{index % tasks}" for index in range(sources)]
    layout = torch.channels_last if len(shape) == 3 else torch.preserve_format
    built = network(spaces).to(device).to(memory_format=layout).train()
    sets = []
    for size, space in [*zip([batch] * sources, names, strict=True), (target, "space0")]:
        images = torch.rand(size, *shape).mul_(2).sub_(1).to(device, memory_format=layout)
        sets.append(Batch(images, torch.randint(CLASSES, (size,)).to(device), space))
    return Case(name, built, sets[:-1], sets[-1], device, goal, heavy)


def digits(sources: int) -> Maker:
    """The paper's digit network on 32 x 32 images; V is 3 labels of 5 classes."""

    def make(device: str) -> Case:
        return make_case(
            f"digits, K = {sources}",
            lambda spaces: _of("convnet", spaces, 32),
            (3, 32, 32),
            sources,
            64,
            15,
            device,
            sources,
            1.10,
        )

    return make


def resnet(sources: int, side: int, batch: int) -> Maker:
    """ResNet-18; V's batch is as large as a source's."""

    def make(device: str) -> Case:
        return make_case(
            f"ResNet-18, {side} px, K = {sources}",
            lambda spaces: _of("resnet18", spaces, side),
            (3, side, side),
            sources,
            batch,
            batch,
            device,
            sources,
            1.15,
            heavy=side >= 224 and device == "cpu",
        )

    return make


def mlp(
    sources: int,
    *,
    hidden: int = 4,
    width: int = 1024,
    inputs: int = 1024,
    batch: int = 16,
    name: str = "",
) -> Maker:
    """A wide MLP: many parameters for little arithmetic, the hardest case for whatever handles K gradients."""

    def make(device: str) -> Case:
        return make_case(
            name or f"MLP, K = {sources}",
            lambda spaces: WideMLP(spaces, inputs=inputs, hidden=hidden, width=width),
            (inputs,),
            sources,
            batch,
            batch,
            device,
            min(2, sources),
        )

    return make


def _of(name: str, spaces: dict[str, int], side: int) -> nn.Module:
    return build_network({"name": name}, spaces, {"height": side, "width": side}, [], seed=0)


CASES: dict[str, Maker] = {
    "digits-2": digits(2),
    "digits-3": digits(3),
    "resnet64-2": resnet(2, 64, 32),
    "resnet64-3": resnet(3, 64, 32),
    "resnet224-2": resnet(2, 224, 8),
    "resnet224-3": resnet(3, 224, 8),
    "mlp-8": mlp(8),
    "mlp-32": mlp(32),
}
# The same shapes in small, for tests and `--quick`.
TINY: dict[str, Maker] = {
    "mlp-2": mlp(2, hidden=2, width=32, inputs=16, batch=4),
    "mlp-3": mlp(3, hidden=2, width=32, inputs=16, batch=4),
}
