"""Entropy of the predictions on unlabelled images (Grandvalet and Bengio 2004), the mean over the mini-batch."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional

from gradmix.terms.context import Context
from gradmix.terms.term import Deterministic


class Entropy(Deterministic):
    """``weight`` times the mean entropy of the softmax of (B, C) logits, in nats.

    Args:
        weight: 0.1 for MDDA (Mancini et al. 2018).
    """

    reads_features = True

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def __call__(self, context: Context) -> Tensor:
        """Compute the loss of one mini-batch."""
        return self.weight * mean_entropy(context.logits_BC)


def mean_entropy(logits_BC: Tensor) -> Tensor:
    """The mean over B of -sum_c p_c log p_c, p = softmax(logits); between 0 and log C."""
    log_probabilities_BC = functional.log_softmax(logits_BC, dim=1)
    return -(log_probabilities_BC.exp() * log_probabilities_BC).sum(dim=1).mean()


def make(options: Mapping[str, Any]) -> Entropy:
    """Build the term from its options in the registry."""
    return Entropy(float(options["weight"]))
