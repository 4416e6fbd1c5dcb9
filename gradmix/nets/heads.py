"""One classifier per label space; domains with the same label space share it."""

from collections.abc import Mapping, Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from gradmix.nets.norm import Statistics, make_norm, normalised

HeadKind = Literal["linear", "cosine"]
Normalise = Literal["convolutions", "all"]


class Heads(nn.Module):
    """A classifier for every label space.

    Args:
        features: size of the backbone's output.
        label_spaces: number of classes of each label space.
        kind: ``"linear"``, or ``"cosine"``: a linear map without bias of the features at unit length, divided by
            ``temperature`` (Saito et al. 2019).
        temperature: of the cosine head.
        normalise: ``"convolutions"`` only, or ``"all"``: the scores over the mini-batch too (Mancini et al. 2018).
        statistics: whether all domains share that normalisation's statistics.
        domains: names of the domains, for statistics per domain.

    Raises:
        ValueError: if a label space has fewer than two classes, or an argument is out of range.
    """

    def __init__(
        self,
        features: int,
        label_spaces: Mapping[str, int],
        *,
        kind: HeadKind = "linear",
        temperature: float = 0.05,
        normalise: Normalise = "convolutions",
        statistics: Statistics = "shared",
        domains: Sequence[str] = (),
    ) -> None:
        super().__init__()
        for name, classes in label_spaces.items():
            if classes < 2:
                raise ValueError(f"label space {name} needs at least 2 classes, but has {classes}")
        if kind not in ("linear", "cosine"):
            raise ValueError(f'head must be "linear" or "cosine", but got {kind!r}')
        if normalise not in ("convolutions", "all"):
            raise ValueError(f'normalise must be "convolutions" or "all", but got {normalise!r}')
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, but got {temperature}")
        # Lists, because a ModuleDict refuses names with dots, which are fine for a label space.
        self._names = list(label_spaces)
        self.linear = nn.ModuleList(
            nn.Linear(features, classes, bias=kind == "linear") for classes in label_spaces.values()
        )
        self.norms = nn.ModuleList(
            make_norm(classes, statistics, domains, spatial=False)
            for classes in label_spaces.values()
            if normalise == "all"
        )
        self._kind = kind
        self._temperature = temperature

    def forward(self, features: Tensor, label_space: str, domain: str | None = None) -> Tensor:
        """Classify (N, features) in the classes of ``label_space``: (N, classes) logits."""
        index = self._index(label_space)
        if self._kind == "cosine":
            features = functional.normalize(features) / self._temperature
        logits: Tensor = self.linear[index](features)
        if self.norms:
            logits = normalised(self.norms[index], logits, domain)
        return logits

    def parameters_of(self, label_space: str) -> list[nn.Parameter]:
        """List the parameters that only this label space uses."""
        index = self._index(label_space)
        parts = [self.linear[index], *([self.norms[index]] if self.norms else [])]
        return [parameter for part in parts for parameter in part.parameters()]

    def weight_of(self, label_space: str) -> Tensor:
        """Look up the weight (classes, features) of the label space's linear map."""
        weight: Tensor = self.linear[self._index(label_space)].weight  # type: ignore[assignment]
        return weight

    def _index(self, label_space: str) -> int:
        if label_space not in self._names:
            raise ValueError(
                f"unknown label space {label_space!r}; known are {', '.join(self._names)}"
            )
        return self._names.index(label_space)
