"""Cross entropy with class labels, the mean over the mini-batch."""

from torch import Tensor
from torch.nn import functional

from gradmix.terms.context import Context


def loss(context: Context) -> Tensor:
    """Mean cross entropy of (B, C) logits with (B,) class indices."""
    return functional.cross_entropy(context.logits_BC, context.labels)
