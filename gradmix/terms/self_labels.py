"""Labels of unlabelled images by the training network's own running average, learned on changed copies of them.

The teacher is that of A. Tarvainen and H. Valpola, "Mean teachers are better role models", NeurIPS 2017; the
threshold and the changed copies are those of K. Sohn et al., "FixMatch", NeurIPS 2020.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradmix.terms.augment import random_affine
from gradmix.terms.context import Context


class SelfLabels:
    """Cross entropy on changed images of U with the classes that the averaged network is sure of.

    ``mean_B(1[max p_teacher > threshold] CE(p(changed x), argmax p_teacher))``; 0 before the warm-up is over. The
    teacher's weights and statistics are ``average * old + (1 - average) * network`` at every step, with a smaller
    ``average`` at the start, and it predicts as in evaluation.

    Args:
        threshold: the teacher's probability must be above it.
        warm_up: share of the training before which no label is used.
        average: weight of the past in the teacher.
        change: options of `random_affine`.
    """

    reads_features = False

    def __init__(
        self, threshold: float, warm_up: float, average: float, change: Mapping[str, float]
    ) -> None:
        if not (0 <= threshold < 1 and 0 <= average < 1):
            raise ValueError(
                f"self_labels needs threshold and average in [0, 1), but got {threshold} and {average}"
            )
        self.threshold = threshold
        self.warm_up = warm_up
        self.average = average
        self.change = dict(change)
        self._teacher: nn.Module | None = None
        self._kept: dict[str, Tensor] = {}

    def __call__(self, context: Context) -> Tensor:
        """Update the teacher, and compute the loss against its labels."""
        teacher = self._updated(context)
        with torch.no_grad():
            sure_B, label_B = self.predicted(teacher, context).max(dim=1)
        accepted_B = (sure_B > self.threshold) & (context.progress >= self.warm_up)
        logits_BC = context.changed_logits(random_affine(context.inputs, **self.change))
        losses_B = functional.cross_entropy(logits_BC, label_B, reduction="none")
        return (losses_B * accepted_B).mean()

    def predicted(self, teacher: nn.Module, context: Context) -> Tensor:
        """The teacher's class probabilities (B, C) of the images as they are."""
        logits: Tensor = teacher(context.inputs, context.label_space, context.domain)
        return logits.float().softmax(dim=1)

    def state(self) -> dict[str, Tensor]:
        """The teacher's weights and statistics, by name."""
        return dict(self._kept if self._teacher is None else self._teacher.state_dict())

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue where `state` was taken."""
        self._kept = dict(state)
        self._teacher = None

    @torch.no_grad()
    def _updated(self, context: Context) -> nn.Module:
        network: nn.Module = context.network
        if self._teacher is None:
            self._teacher = copy.deepcopy(network).eval().requires_grad_(False)
            if not self._kept:
                return self._teacher
            self._teacher.load_state_dict(self._kept)
        share = min(self.average, (context.step + 1) / (context.step + 10))
        new = network.state_dict()
        for name, tensor in self._teacher.state_dict().items():
            if tensor.dtype.is_floating_point:
                tensor.lerp_(new[name], 1 - share)
            else:
                tensor.copy_(new[name])
        return self._teacher


def make(options: Mapping[str, Any]) -> SelfLabels:
    """Build the term from its options in the registry."""
    change = {name: options[name] for name in ("shift", "rotation", "scale", "shear")}
    return SelfLabels(options["threshold"], options["warm_up"], options["average"], change)
