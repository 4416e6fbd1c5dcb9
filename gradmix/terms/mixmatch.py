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
    terms.

    Batch normalisation: passes over mixed and augmented images normalise by their own mini-batch and leave the
    running statistics, which evaluation uses, as they are. Those follow the labelled images as they are, in
    their own terms' pass; with ``labelled`` this term runs that pass, since a companion has no term. U never
    moves them (the original updates them by one mini-batch, much like the labelled one).

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
        """Compute the loss of one mini-batch, mixed with the labelled ones of the step.

        Raises:
            ValueError: if no labelled set takes part in the step.
        """
        others = [context.streams[name] for name in LABELLED if name in context.streams]
        if not others:
            raise ValueError("mixmatch needs labelled target images (V or S_u) in the same step")
        unlabelled = [random_shift(context.inputs, self.shift) for _ in range(self.augmentations)]
        with torch.no_grad():
            guess_BC = self.guess([context.extra_logits(images) for images in unlabelled])
        labels_NC = [_probabilities(other.labels, guess_BC.shape[1]) for other in others]
        images = torch.cat([*(random_shift(o.inputs, self.shift) for o in others), *unlabelled])
        targets = torch.cat([*labels_NC, *[guess_BC] * self.augmentations])
        count = len(images) - len(guess_BC) * self.augmentations

        images, targets = self.mixed(images, targets)
        if not self.labelled:
            probabilities = context.extra_logits(images[count:]).softmax(dim=1)
            return self.factor(context.progress) * _squared(targets[count:], probabilities)
        for other in others:
            # The running statistics follow this pass. It keeps its graph: the stream's own term may still need it.
            other.logits_BC  # noqa: B018
        logits = context.extra_logits(images)
        entropy = functional.cross_entropy(logits[:count], targets[:count])
        consistency = _squared(targets[count:], logits[count:].softmax(dim=1))
        return entropy + self.factor(context.progress) * consistency

    def guess(self, logits: list[Tensor]) -> Tensor:
        """Sharpen the mean prediction, (B, C), without a graph."""
        mean_BC = torch.stack([part.detach().softmax(dim=1) for part in logits]).mean(dim=0)
        # In logarithms, so that a low temperature does not underflow.
        return (mean_BC.clamp(min=1e-30).log() / self.temperature).softmax(dim=1)

    def mixed(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mix every image and its label with those of a random partner."""
        share = self.shares(len(images), images.device)
        partner = torch.randperm(len(images), device=images.device)
        share_images = share[:, None, None, None]
        return (
            share_images * images + (1 - share_images) * images[partner],
            share[:, None] * targets + (1 - share[:, None]) * targets[partner],
        )

    def shares(self, count: int, device: torch.device) -> Tensor:
        """Draw the share lambda' of every image, in [0.5, 1]."""
        # lambda = G / (G + G'), with G, G' ~ Gamma(alpha), in logarithms: G(alpha) = G(alpha + 1) U^(1/alpha).
        # torch's Beta underflows for small alpha, and then gives 1/2 where lambda' should be near 1.
        alpha = torch.full((2, count), self.alpha + 1.0, device=device)
        gamma = torch.distributions.Gamma(alpha, torch.ones_like(alpha), validate_args=False)
        log_gamma = gamma.sample().log() - torch.empty_like(alpha).exponential_() / self.alpha
        share: Tensor = (log_gamma[0] - log_gamma[1]).abs().sigmoid()
        return share

    def factor(self, progress: float) -> float:
        """Weight the unlabelled loss at this part of the training."""
        return self.weight * (min(1.0, progress / self.ramp) if self.ramp > 0 else 1.0)


def _probabilities(labels: Tensor, classes: int) -> Tensor:
    """Class indices as one-hot rows; probabilities as they are."""
    return labels if labels.ndim == 2 else functional.one_hot(labels, classes).float()


def _squared(targets: Tensor, probabilities: Tensor) -> Tensor:
    """Mean over images and classes of the squared difference."""
    return ((targets - probabilities) ** 2).mean()


def make(options: Mapping[str, Any]) -> MixMatch:
    """Build the term from its options in the registry.

    Raises:
        ValueError: if an option is out of range.
    """
    positive, others = ("temperature", "alpha"), ("weight", "ramp")
    wrong = [f"{name} > 0" for name in positive if not options[name] > 0]
    wrong += [f"{name} >= 0" for name in others if not options[name] >= 0]
    counts = {"augmentations": 1, "shift": 0}
    for name, least in counts.items():
        if options[name] < least or options[name] != int(options[name]):
            wrong.append(f"a whole number {name} >= {least}")
    if wrong:
        raise ValueError(f"mixmatch needs {', '.join(wrong)}, but got {dict(options)}")
    return MixMatch(**{**options, **{name: int(options[name]) for name in counts}})
