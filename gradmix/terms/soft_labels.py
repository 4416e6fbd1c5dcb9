"""Soft labels: KL(y || p) to the ensemble's mean softmax y (Li et al. 2020, section 3.5).

The paper writes D_KL(p, y), whose argument order is that of torch's kl_div(input=log p, target=y), which computes
KL(y || p); so do we. Batch mean.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gradmix.terms.context import Context
from gradmix.terms.term import Deterministic


class SoftLabels(Deterministic):
    """KL(labels || softmax(logits)) of (B, C) logits and (B, C) probabilities, the mean over B; 0 where equal."""

    reads_features = True

    def __call__(self, context: Context) -> Tensor:
        """Compute the loss of one mini-batch."""
        log_probabilities_BC = functional.log_softmax(context.logits_BC, dim=1)
        labels_BC = context.labels
        # torch's kl_div written out, bit for bit: vmap has no rule for it.
        divergences_BC = torch.xlogy(labels_BC, labels_BC) - labels_BC * log_probabilities_BC
        return divergences_BC.sum() / len(labels_BC)


def make(options: Mapping[str, Any]) -> SoftLabels:
    """Build the term from its options in the registry."""
    return SoftLabels()
