"""One linear classifier per label space; domains with the same label space share it."""

from collections.abc import Mapping

from torch import Tensor, nn


class Heads(nn.Module):
    """Linear heads by label space.

    Args:
        features: size of the backbone's output.
        label_spaces: number of classes of each label space.

    Raises:
        ValueError: if a label space has fewer than two classes.
    """

    def __init__(self, features: int, label_spaces: Mapping[str, int]) -> None:
        super().__init__()
        for name, classes in label_spaces.items():
            if classes < 2:
                raise ValueError(f"label space {name} needs at least 2 classes, but has {classes}")
        # A list, because a ModuleDict refuses names with dots, which are fine for a label space.
        self._names = list(label_spaces)
        self.linear = nn.ModuleList(nn.Linear(features, c) for c in label_spaces.values())

    def forward(self, features: Tensor, label_space: str) -> Tensor:
        """(N, classes) logits of (N, features) in the classes of ``label_space``."""
        if label_space not in self._names:
            raise ValueError(
                f"unknown label space {label_space!r}; known are {', '.join(self._names)}"
            )
        logits: Tensor = self.linear[self._names.index(label_space)](features)
        return logits
