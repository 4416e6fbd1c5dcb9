"""Minimax entropy (MME, Saito et al. 2019): the head raises the entropy on unlabelled images, the features lower it.

The loss is -weight * H. Descending it, the head raises H; the features are behind a gradient reversal and lower H.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gradmix.terms.context import Context
from gradmix.terms.entropy import mean_entropy
from gradmix.terms.gradient_reversal import reverse_gradient
from gradmix.terms.term import Stateless


class MinimaxEntropy(Stateless):
    """``weight`` times the mean of sum_c p_c log p_c over the mini-batch; at most 0.

    Args:
        weight: lambda, 0.1 in the paper.
    """

    reads_features = True

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def __call__(self, context: Context) -> Tensor:
        """Compute the loss of one mini-batch; its gradient reaches the features reversed."""
        logits_BC = context.classify(reverse_gradient(context.features_BF))
        return -self.weight * mean_entropy(logits_BC)


def make(options: Mapping[str, Any]) -> MinimaxEntropy:
    """Build the term from its options in the registry."""
    return MinimaxEntropy(float(options["weight"]))
