"""The digit network: four blocks of convolution, batch normalisation, ReLU, pooling; one hidden layer; heads.

The paper names "4 Conv + 2 fc layers" (Li et al. 2020, section 4.2) without a table; 64 channels with batch
normalisation and pooling after every convolution reproduce its Target-only row. The last fc layer is the head.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from gradmix.nets.heads import HeadKind, Heads, Normalise
from gradmix.nets.inputs import check_images
from gradmix.nets.norm import Statistics, make_norm, normalised

_BLOCKS = 4


class Block(nn.Module):
    """Convolution 3x3, batch normalisation, ReLU, and pooling by 2 where the image is still that large."""

    def __init__(
        self, inputs: int, outputs: int, pool: bool, statistics: Statistics, domains: Sequence[str]
    ) -> None:
        super().__init__()
        # No bias: the normalisation behind would cancel it.
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = make_norm(outputs, statistics, domains)
        self.activation = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()

    def forward(self, x: Tensor, domain: str | None) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H/2, W/2)."""
        x = normalised(self.norm, self.conv(x), domain)
        # Pooling and ReLU commute; in this order ReLU has a quarter of the work.
        out: Tensor = self.activation(self.pool(x))
        return out


class Backbone(nn.Module):
    """The part that all domains share: image to features."""

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        width: int,
        hidden: int,
        statistics: Statistics,
        domains: Sequence[str],
        normalise_hidden: bool,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        channels = in_channels
        rows, columns = image_size
        for _ in range(_BLOCKS):
            pool = min(rows, columns) >= 2
            self.blocks.append(Block(channels, width, pool, statistics, domains))
            channels = width
            if pool:
                rows, columns = rows // 2, columns // 2
        self.hidden = nn.Linear(width * rows * columns, hidden)
        self.norm = (
            make_norm(hidden, statistics, domains, spatial=False) if normalise_hidden else None
        )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, domain: str | None = None) -> Tensor:
        """(N, in_channels, rows, columns) to (N, hidden)."""
        for block in self.blocks:
            x = block(x, domain)
        x = self.hidden(x.flatten(1))
        if self.norm is not None:
            x = normalised(self.norm, x, domain)
        features: Tensor = self.activation(x)
        return features


class ConvNet(nn.Module):
    """The digit network with a head per label space.

    Args:
        label_spaces: number of classes of each label space.
        image_size: height and width of the images, in pixels.
        in_channels: of the images.
        width: channels of each convolution.
        hidden: units of the hidden layer, the features.
        norm_statistics: ``"shared"`` by all domains (plain torch), or ``"per_domain"``.
        normalise: ``"convolutions"`` only, or ``"all"``: the hidden layer and the heads' scores too.
        head: ``"linear"`` or ``"cosine"``, see `Heads`.
        temperature: of the cosine head.
        domains: names of the domains, for ``"per_domain"``.

    Attributes:
        backbone: the shared layers; `layers_of(net.backbone)` are four blocks and the hidden layer.
        heads: the classifiers (`Heads`).
        label_spaces: names of the label spaces.
        in_channels: of the images.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        label_spaces: Mapping[str, int],
        *,
        image_size: tuple[int, int] = (32, 32),
        in_channels: int = 3,
        width: int = 64,
        hidden: int = 128,
        norm_statistics: Statistics = "shared",
        normalise: Normalise = "convolutions",
        head: HeadKind = "linear",
        temperature: float = 0.05,
        domains: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if min(*image_size, width, hidden, in_channels) < 1:
            raise ValueError(
                f"image_size, in_channels, width and hidden must be at least 1, but got "
                f"{image_size}, {in_channels}, {width} and {hidden}"
            )
        self.label_spaces = list(label_spaces)
        self.in_channels = in_channels
        self.image_size = image_size
        self.backbone = Backbone(
            in_channels, image_size, width, hidden, norm_statistics, domains, normalise == "all"
        )
        self.heads = Heads(
            hidden,
            label_spaces,
            kind=head,
            temperature=temperature,
            normalise=normalise,
            statistics=norm_statistics,
            domains=domains,
        )

    def forward(self, images: Tensor, label_space: str, domain: str | None = None) -> Tensor:
        """Classify images: (N, classes) logits.

        Args:
            images: (N, in_channels, *image_size) float in [-1, 1].
            label_space: name of the head.
            domain: where the images come from; only per-domain statistics need it.

        Raises:
            ValueError: if the images have another size or number of channels, or a name is unknown.
        """
        return self.classify(self.features(images, domain), label_space, domain)

    def features(self, images: Tensor, domain: str | None = None) -> Tensor:
        """Compute (N, hidden) features of the images; arguments and errors as in `forward`."""
        check_images(images, self.in_channels, self.image_size, domain)
        features: Tensor = self.backbone(images, domain)
        return features

    def classify(self, features: Tensor, label_space: str, domain: str | None = None) -> Tensor:
        """Classify (N, hidden) features: (N, classes) logits."""
        logits: Tensor = self.heads(features, label_space, domain)
        return logits


NETWORK = ConvNet
