"""MixMatch on unlabelled images (Berthelot et al. 2019).

D. Berthelot, N. Carlini, I. Goodfellow, N. Papernot, A. Oliver, C. Raffel, "MixMatch: A Holistic Approach to
Semi-Supervised Learning", NeurIPS 2019.

Shapes: B unlabelled images, A augmentations of each, N labelled ones, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gradmix.terms.augment import random_shift
from gradmix.terms.context import Context
from gradmix.terms.term import Stateless

LABELLED = ("V", "S_u")


@dataclass(frozen=True)
class MixMatch(Stateless):
    """Consistency of mixed images with mixed guesses, ``weight * ramp * mean (q - p)^2``.

    The guess for an image of U is the mean softmax over its augmentations, sharpened: ``q^(1/T) / sum q^(1/T)``, a
    constant. Labelled images (the mini-batches of V and S_u, augmented once) and all augmented ones of U are
    mixed with partners from their shuffled union, ``lambda' x + (1 - lambda') x'`` and labels alike, with
    ``lambda' = max(lambda, 1 - lambda)``, ``lambda ~ Beta(alpha, alpha)``.

    Only the unlabelled part is a loss here, unless ``labelled``: a method's own labelled sets train by their own
    terms. Passes over mixed and augmented images leave the running statistics of batch normalisation as they
    are; with ``labelled``, a plain pass over the labelled images keeps them.

    Attributes:
        weight: of the unlabelled loss at the end of the ramp.
        ramp: share of the training over which the weight rises from 0, linearly.
        augmentations: of every unlabelled image, for the guess and in the mixing.
        temperature: T of the sharpening.
        alpha: of the Beta distribution.
        shift: pixels that an augmentation moves an image by, at most.
        labelled: whether the cross entropy of the mixed labelled images is added.
    """

    weight: float
    ramp: float
    augmentations: int
    temperature: float
    alpha: float
    shift: int
    labelled: bool

    def __call__(self, context: Context) -> Tensor:
        """The loss.

        Raises:
            ValueError: if no labelled set takes part in the step.
        """
        others = [context.streams[name] for name in LABELLED if name in context.streams]
        if not others:
            raise ValueError("mixmatch needs labelled target images (V or S_u) in the same step")
        unlabelled = [random_shift(context.inputs, self.shift) for _ in range(self.augmentations)]
        guess_BC = self.guess([context.extra_logits(images) for images in unlabelled])
        labels_NC = [_probabilities(other.labels, guess_BC.shape[1]) for other in others]
        images = torch.cat([*(random_shift(o.inputs, self.shift) for o in others), *unlabelled])
        targets = torch.cat([*labels_NC, *[guess_BC] * self.augmentations])
        count = len(images) - len(guess_BC) * self.augmentations

        images, targets = self.mixed(images, targets)
        if not self.labelled:
            probabilities = context.extra_logits(images[count:]).softmax(dim=1)
            return self.factor(context.progress) * _squared(targets[count:], probabilities)
        with torch.no_grad():
            for other in others:
                other.logits_BC  # noqa: B018 the running statistics follow the labelled images
        logits = context.extra_logits(images)
        entropy = functional.cross_entropy(logits[:count], targets[:count])
        consistency = _squared(targets[count:], logits[count:].softmax(dim=1))
        return entropy + self.factor(context.progress) * consistency

    def guess(self, logits: list[Tensor]) -> Tensor:
        """Sharpened mean prediction (B, C), without a graph."""
        mean_BC = torch.stack([part.detach().softmax(dim=1) for part in logits]).mean(dim=0)
        # In logarithms, so that a low temperature does not underflow.
        return (mean_BC.clamp(min=1e-30).log() / self.temperature).softmax(dim=1)

    def mixed(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Every image and its label mixed with those of a random partner."""
        share = self.shares(len(images), images.device)
        partner = torch.randperm(len(images), device=images.device)
        share_images = share[:, None, None, None]
        return (
            share_images * images + (1 - share_images) * images[partner],
            share[:, None] * targets + (1 - share[:, None]) * targets[partner],
        )

    def shares(self, count: int, device: torch.device) -> Tensor:
        """Shares lambda' of every image, in [0.5, 1]."""
        alpha = torch.full((count,), self.alpha, device=device)
        share = torch.distributions.Beta(alpha, alpha, validate_args=False).sample()
        return torch.maximum(share, 1 - share)

    def factor(self, progress: float) -> float:
        """Weight of the unlabelled loss at this part of the training."""
        return self.weight * (min(1.0, progress / self.ramp) if self.ramp > 0 else 1.0)


def _probabilities(labels: Tensor, classes: int) -> Tensor:
    """Class indices as one-hot rows; probabilities as they are."""
    return labels if labels.ndim == 2 else functional.one_hot(labels, classes).float()


def _squared(targets: Tensor, probabilities: Tensor) -> Tensor:
    """Mean over images and classes of the squared difference."""
    return ((targets - probabilities) ** 2).mean()


def make(options: Mapping[str, Any]) -> MixMatch:
    """The term.

    Raises:
        ValueError: if an option is out of range.
    """
    if options["temperature"] <= 0 or options["alpha"] <= 0 or options["augmentations"] < 1:
        raise ValueError(
            "mixmatch needs temperature > 0, alpha > 0 and at least 1 augmentation, but got "
            f"{options['temperature']}, {options['alpha']} and {options['augmentations']}"
        )
    return MixMatch(**options)
