"""What a loss term is given."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Context:
    """One stream's mini-batch as a term sees it (B images, C classes of the stream's label space).

    Attributes:
        logits_BC: the network's output, float32 whatever the precision of the forward pass.
        labels: class indices (B,) int64, or class probabilities (B, C) float32.
        step: training step, from 0.
        progress: step / steps, in [0, 1).
    """

    logits_BC: Tensor
    labels: Tensor
    step: int
    progress: float
