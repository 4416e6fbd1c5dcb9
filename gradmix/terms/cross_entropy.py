"""Cross entropy with class labels, the mean over the mini-batch."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional

from gradmix.terms.context import Context
from gradmix.terms.term import Deterministic


class CrossEntropy(Deterministic):
    """Mean cross entropy of (B, C) logits with (B,) class indices."""

    reads_features = True

    def __call__(self, context: Context) -> Tensor:
        """Compute the loss of one mini-batch."""
        return functional.cross_entropy(context.logits_BC, context.labels)


def make(options: Mapping[str, Any]) -> CrossEntropy:
    """Build the term from its options in the registry."""
    return CrossEntropy()
