"""The interface of a loss term, and bases for terms without state."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from gradmix.terms.context import Context


class Term(Protocol):
    """A loss on one stream's mini-batch, part of that stream's gradient.

    Attributes:
        reads_features: whether it always reads the features of the mini-batch as it stands, so that they may be
            computed beforehand, with those of the other streams.

    A term without state is a function behind `Stateless`. One with state may own modules and step its own
    optimizer inside the call; `state` then holds all that a resumed run needs to go on bit for bit.
    """

    reads_features: bool

    def __call__(self, context: Context) -> Tensor:
        """Compute the scalar loss of one mini-batch."""

    def state(self) -> dict[str, Tensor]:
        """Tensors from which `load` restores it."""

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue where `state` was taken."""


class Stateless:
    """A term without state of its own."""

    reads_features = False

    def state(self) -> dict[str, Tensor]:
        """Nothing to keep."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to restore."""


class Deterministic(Stateless):
    """A term without state that draws no random number and decides nothing by a tensor's value.

    Two such terms with equal attributes are one function, so that the losses of several models may be computed by
    one call under ``torch.vmap``.
    """
