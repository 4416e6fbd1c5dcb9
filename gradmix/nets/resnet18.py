"""ResNet-18 (He et al. 2016) with heads, the network of the paper's action recognition (Li et al. 2020, section 4.3).

Layers and names are torchvision's, so that its ImageNet weights, and files in its layout, fit.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import ResNet18_Weights, resnet18
from torchvision.models.resnet import BasicBlock

from gradmix.nets.energy import EnergyNet, rescored
from gradmix.nets.heads import HeadKind, Heads, Normalise
from gradmix.nets.inputs import check_images
from gradmix.nets.norm import DomainBatchNorm, Statistics, make_norm, normalised

FEATURES = 512
SMALLEST = 32  # the network halves five times
# Of ImageNet's images in [0, 1]; torchvision's weights were trained on images normalised by these.
MEAN = (0.485, 0.456, 0.406)
STANDARD_DEVIATION = (0.229, 0.224, 0.225)
WEIGHTS_URL: str = ResNet18_Weights.IMAGENET1K_V1.url
# Where per-domain statistics keep what torch's own batch normalisation calls otherwise.
_PER_DOMAIN = {"running_mean": "means_DC", "running_var": "variances_DC"}
_NO_WEIGHT = "num_batches_tracked"


def _places(image_size: tuple[int, int]) -> int:
    """Count the places of the last feature maps."""
    return -(-image_size[0] // SMALLEST) * -(-image_size[1] // SMALLEST)


class Backbone(nn.Module):
    """The part that all domains share: torchvision's ResNet-18 without its classifier.

    Its blocks are torchvision's modules, but they are applied here: torchvision's own ``forward`` has no way to
    tell a normalisation which domain the images come from. Nothing of the domain is kept between passes.
    """

    def __init__(self, statistics: Statistics, domains: Sequence[str]) -> None:
        super().__init__()
        whole = resnet18(
            weights=None, norm_layer=lambda channels: make_norm(channels, statistics, domains)
        )
        self.conv1, self.bn1, self.maxpool = whole.conv1, whole.bn1, whole.maxpool
        self.layer1, self.layer2 = whole.layer1, whole.layer2
        self.layer3, self.layer4 = whole.layer3, whole.layer4

    def forward(self, x: Tensor, domain: str | None = None) -> Tensor:
        """(N, 3, H, W) to the last block's (N, 512, H/32, W/32), rounded up."""
        x = functional.relu(normalised(self.bn1, self.conv1(x), domain), inplace=True)
        x = self.maxpool(x)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                x = _residual(block, x, domain)
        return x


def _residual(block: BasicBlock, x: Tensor, domain: str | None) -> Tensor:
    """A block of torchvision's: relu(norm(conv(relu(norm(conv(x))))) + x), x downsampled where sizes differ."""
    out = functional.relu(normalised(block.bn1, block.conv1(x), domain), inplace=True)
    out = normalised(block.bn2, block.conv2(out), domain)
    if block.downsample is not None:
        conv, norm = block.downsample
        x = normalised(norm, conv(x), domain)
    return functional.relu(out + x, inplace=True)


class ResNet18(nn.Module):
    """ResNet-18 with a head per label space.

    Args:
        label_spaces: number of classes of each label space.
        image_size: height and width of the images, in pixels, at least 32.
        in_channels: 3 (`to_input` repeats grey images).
        norm_statistics: ``"shared"`` by all domains (plain torch), or ``"per_domain"``.
        normalise: ``"convolutions"`` only, or ``"all"``: the heads' scores too.
        head: ``"linear"`` or ``"cosine"``, see `Heads`.
        temperature: of the cosine head.
        domains: names of the domains, for ``"per_domain"``.
        energy: whether an `EnergyNet` per label space rescores the classes in evaluation.

    Attributes:
        backbone: the shared layers; `layers_of(net.backbone)` are the 20 convolutions with the normalisations
            behind them (17 in sequence, 3 in the blocks' shortcuts).
        heads: the classifiers (`Heads`).
        label_spaces: names of the label spaces.
        in_channels: of the images.
        image_size: of the images.
        recipe_parts: modules that only a recipe's own option adds.

    Raises:
        ValueError: if an argument is out of range.
    """

    recipe_parts = ("energies",)

    def __init__(
        self,
        label_spaces: Mapping[str, int],
        *,
        image_size: tuple[int, int] = (224, 224),
        in_channels: int = 3,
        norm_statistics: Statistics = "shared",
        normalise: Normalise = "convolutions",
        head: HeadKind = "linear",
        temperature: float = 0.05,
        domains: Sequence[str] = (),
        energy: bool = False,
    ) -> None:
        super().__init__()
        if min(image_size) < SMALLEST:
            raise ValueError(f"image_size must be at least {SMALLEST}, but got {image_size}")
        if in_channels != 3:
            raise ValueError(f"in_channels must be 3 for ResNet-18, but got {in_channels}")
        self.label_spaces = list(label_spaces)
        self.in_channels = in_channels
        self.image_size = image_size
        mean_C11 = torch.tensor(MEAN)[:, None, None]
        deviation_C11 = torch.tensor(STANDARD_DEVIATION)[:, None, None]
        # From [-1, 1] over [0, 1] to ImageNet's normalisation: ((x + 1) / 2 - mean) / deviation. Constants, hence
        # in no state dict.
        self.register_buffer("scale_C11", 0.5 / deviation_C11, persistent=False)
        self.register_buffer("shift_C11", (0.5 - mean_C11) / deviation_C11, persistent=False)
        self.scale_C11: Tensor
        self.shift_C11: Tensor
        self.backbone = Backbone(norm_statistics, domains)
        self.heads = Heads(
            FEATURES,
            label_spaces,
            kind=head,
            temperature=temperature,
            normalise=normalise,
            statistics=norm_statistics,
            domains=domains,
        )
        self.energies = nn.ModuleList(
            EnergyNet(_places(image_size), classes) for classes in label_spaces.values() if energy
        )

    def forward(self, images: Tensor, label_space: str, domain: str | None = None) -> Tensor:
        """Classify images: (N, classes) logits, or log scores in evaluation with energies.

        Args:
            images: (N, 3, *image_size) float in [-1, 1]; ImageNet's normalisation happens inside.
            label_space: name of the head.
            domain: where the images come from; only per-domain statistics need it.

        Raises:
            ValueError: if the images have another size or number of channels, or a name is unknown.
        """
        if self.training or not self.energies:
            return self.classify(self.features(images, domain), label_space, domain)
        maps = self.feature_maps(images, domain)
        logits = self.classify(self.pool(maps), label_space, domain).float()
        weight = self.heads.weight_of(label_space)
        return rescored(logits, maps.float(), weight, self.energy_of(label_space))

    def energy_of(self, label_space: str) -> EnergyNet:
        """Look up the EnergyNet that rescores this label space's classes."""
        energies = self.energies[self.label_spaces.index(label_space)]
        assert isinstance(energies, EnergyNet)
        return energies

    def features(self, images: Tensor, domain: str | None = None) -> Tensor:
        """Compute (N, 512) features, ``pool(feature_maps(images))``; arguments and errors as in `forward`."""
        return self.pool(self.feature_maps(images, domain))

    def feature_maps(self, images: Tensor, domain: str | None = None) -> Tensor:
        """(N, 512, H/32, W/32), rounded up: the last block's output; arguments and errors as in `forward`."""
        check_images(images, self.in_channels, self.image_size, domain)
        maps: Tensor = self.backbone(images * self.scale_C11 + self.shift_C11, domain)
        return maps

    def pool(self, maps: Tensor) -> Tensor:
        """Average (N, 512, h, w) maps over their places, (N, 512)."""
        return functional.adaptive_avg_pool2d(maps, 1).flatten(1)

    def classify(self, features: Tensor, label_space: str, domain: str | None = None) -> Tensor:
        """Classify (N, 512) features: (N, classes) logits."""
        logits: Tensor = self.heads(features, label_space, domain)
        return logits

    @torch.no_grad()
    def load_backbone(self, state: Mapping[str, Tensor], origin: str = "weights") -> None:
        """Start the backbone from pretrained weights; heads stay as they are.

        With statistics per domain, every domain starts from the pretrained running mean and variance.

        Args:
            state: as `backbone_state` gives it.
            origin: where it comes from, for messages.

        Raises:
            ValueError: as `backbone_state`.
        """
        modules = dict(self.backbone.named_modules())
        for name, tensor in backbone_state(state, origin).items():
            owner, _, leaf = name.rpartition(".")
            module = modules[owner]
            if isinstance(module, DomainBatchNorm):
                leaf = _PER_DOMAIN.get(leaf, leaf)
            own: Tensor = getattr(module, leaf)
            own.copy_(tensor.expand_as(own))


def backbone_state(state: Mapping[str, Tensor], origin: str) -> dict[str, Tensor]:
    """Take the backbone's part of a state dict in torchvision's layout, in float32.

    Leaves out the classifier (``fc.*``), which has other classes, and the counters of batches, which nothing reads.

    Args:
        state: tensors by name.
        origin: where it comes from, for messages.

    Raises:
        ValueError: names what is missing, unknown, of another shape, or not finite.
    """
    with torch.device("meta"):
        expected = _without_classifier(resnet18(weights=None).state_dict())
    backbone = _without_classifier(state)
    fault = f"{origin}: not the weights of a ResNet-18 in torchvision's layout"
    unknown = [name for name in backbone if name not in expected]
    if missing := [name for name in expected if name not in backbone]:
        instead = f"; it has {_listed(unknown)}" if unknown else ""
        raise ValueError(f"{fault}: without {_listed(missing)}{instead}")
    if unknown:
        raise ValueError(f"{fault}: {_listed(unknown)} not known")
    for name, tensor in backbone.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"{fault}: {name} has shape {tuple(tensor.shape)}, "
                f"expected {tuple(expected[name].shape)}"
            )
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise ValueError(f"{origin}: {name} has values that are no finite numbers")
    return {name: backbone[name].to(torch.float32) for name in expected}


def _without_classifier(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: tensor
        for name, tensor in state.items()
        if not name.startswith("fc.") and not name.endswith(_NO_WEIGHT)
    }


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


NETWORK = ResNet18
