"""What a loss term sees of a step.

Shapes: B images of the mini-batch, C classes of the stream's label space, F features.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from gradmix.nets.norm import frozen_statistics


class Context:
    """One stream's mini-batch as a term sees it.

    The forward pass runs when a term first asks for features or logits, so a term that needs neither costs none.

    Attributes:
        inputs: the images as the network takes them, (B, channels, height, width) float32 in [-1, 1].
        labels: class indices (B,) int64 (-1: no label), or class probabilities (B, C) float32.
        label_space: the head that the images use.
        domain: where they come from.
        step: training step, from 0.
        progress: step / steps, in [0, 1).
        autocast: under which forward passes run; what they give is made float32 behind it.
        streams: the contexts of all streams of this step by set name ("V", "S_u", a source's name), this one
            included; read others' features and logits through `stream`.
        used_by_others: whether another stream's term read this one's features, so that its graph must outlive
            one backward pass.
    """

    def __init__(
        self,
        network: nn.Module,
        inputs: Tensor,
        labels: Tensor,
        label_space: str,
        domain: str,
        *,
        step: int,
        steps: int,
        streams: Mapping[str, "Context"],
        autocast: AbstractContextManager[Any],
    ) -> None:
        self.network: Any = network
        self.inputs = inputs
        self.labels = labels
        self.label_space = label_space
        self.domain = domain
        self.step = step
        self.progress = step / steps
        self.streams = streams
        self.used_by_others = False
        self.autocast = autocast

    @cached_property
    def features_BF(self) -> Tensor:  # noqa: N802
        """Features (B, F) from the backbone, float32 whatever the precision of the forward pass."""
        with self.autocast:
            features: Tensor = self.network.features(self.inputs, self.domain)
        return features.float()

    @cached_property
    def logits_BC(self) -> Tensor:  # noqa: N802
        """Logits (B, C) from this stream's head, float32 whatever the precision of the forward pass."""
        return self.classify(self.features_BF)

    def classify(self, features_BF: Tensor) -> Tensor:
        """Classify features by this stream's head: logits, float32."""
        with self.autocast:
            logits: Tensor = self.network.classify(features_BF, self.label_space, self.domain)
        return logits.float()

    def changed_logits(self, inputs: Tensor) -> Tensor:
        """Classify this mini-batch's images after a random change: logits, float32; running statistics follow them."""
        with self.autocast:
            logits: Tensor = self.network(inputs, self.label_space, self.domain)
        return logits.float()

    def extra_logits(self, inputs: Tensor) -> Tensor:
        """Classify other images (perturbed, mixed, ...): logits, float32; running statistics stay as they are."""
        with frozen_statistics(self.network), self.autocast:
            logits: Tensor = self.network(inputs, self.label_space, self.domain)
        return logits.float()

    def evaluated_logits(self) -> Tensor:
        """Classify as in evaluation: logits, float32; running statistics are used and stay, no dropout, no graph."""
        training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad(), self.autocast:
                logits: Tensor = self.network(self.inputs, self.label_space, self.domain)
        finally:
            self.network.train(training)
        return logits.float()

    def stream(self, name: str) -> "Context":
        """Look up a stream's context, whose features and logits this term may use with their graph."""
        other = self.streams[name]
        other.used_by_others = other is not self or other.used_by_others
        return other
