"""Deep cocktail network (DCTN, Xu et al. 2018, least-squares form): confused discriminators, voted pseudo-labels.

Shapes: J sources, B images of the mini-batch, C classes of the target, F features.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gradmix.terms.context import Context
from gradmix.terms.discriminators import Discriminators, hardest


class DCTN:
    """Makes features of the hardest source and the target alike, and trains on confident predictions.

    One call trains a discriminator per source on detached features; then the features of the source whose
    discriminator does worst, and those of the unlabelled images, learn to leave that discriminator undecided.
    From the warm-up on, images of which the sources' weighted vote is sure count as labelled.

    The original alternates rounds of classification on pseudo-labelled images and of adversarial training; this
    is its online form, where every mini-batch is labelled by the current weights.

    Args:
        threshold: smallest weighted probability of a class that makes a pseudo-label.
        warm_up: part of the training before the first pseudo-label.
        learning_rate: of the discriminators' Adam.
        hidden: units of the discriminators' hidden layers.
        weight: of the confusion loss.
    """

    reads_features = False

    def __init__(
        self, *, threshold: float, warm_up: float, learning_rate: float, hidden: int, weight: float
    ) -> None:
        self.threshold = threshold
        self.warm_up = warm_up
        self.learning_rate = learning_rate
        self.hidden = hidden
        self.weight = weight
        self.discriminators: Discriminators | None = None
        self.losses_J: Tensor | None = None

    def __call__(self, context: Context) -> Tensor:
        """Train the discriminators by one step, and give the features' loss.

        Raises:
            ValueError: if the method has no source domain.
        """
        # Sources are what does not come from the target: V, S_u and U do, whatever their streams are called.
        sources = [
            context.stream(name)
            for name, other in context.streams.items()
            if other.domain != context.domain
        ]
        if not sources:
            raise ValueError("term dctn needs a method with source domains")
        target_BF = context.features_BF
        features_JBF = [source.features_BF for source in sources]
        if self.discriminators is None:
            self.discriminators = Discriminators(
                len(sources), target_BF.shape[1], self.hidden, self.learning_rate, target_BF.device
            )
            self.losses_J = torch.zeros(len(sources), device=target_BF.device)
        assert self.losses_J is not None
        losses_J = self.discriminators.train(features_JBF, target_BF)
        self.losses_J = self.losses_J + losses_J
        confusion_J = self.discriminators.confusion(features_JBF, target_BF)
        loss = self.weight * (hardest(losses_J) * confusion_J).sum()

        voters = [j for j, s in enumerate(sources) if s.label_space == context.label_space]
        if context.progress < self.warm_up or not voters:
            return loss
        probabilities_BC = functional.softmax(context.evaluated_logits(), dim=1)
        # Sources of one label space share its head, so each of them votes the same probabilities.
        votes_JBC = probabilities_BC.expand(len(voters), -1, -1)
        voted_BC = weighted_votes(votes_JBC, torch.stack([self.losses_J[j] for j in voters]))
        return loss + pseudo_label_loss(context.logits_BC, voted_BC, self.threshold)

    def state(self) -> dict[str, Tensor]:
        """The discriminators with their Adam, and the accumulated discriminator losses."""
        if self.discriminators is None or self.losses_J is None:
            return {}
        return {**self.discriminators.state(), "losses": self.losses_J}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue where `state` was taken."""
        if not state:
            return
        self.losses_J = state["losses"]
        self.discriminators = Discriminators.from_state(state, self.learning_rate)


def weighted_votes(votes_JBC: Tensor, losses_J: Tensor) -> Tensor:
    """Average the voters' probabilities, (B, C), weighted by their accumulated discriminator losses.

    Where a discriminator errs much, its source is close to the target, and so counts for more.
    """
    weights_J = losses_J / losses_J.sum().clamp(min=torch.finfo(losses_J.dtype).tiny)
    return (weights_J[:, None, None] * votes_JBC).sum(dim=0)


def pseudo_label_loss(logits_BC: Tensor, voted_BC: Tensor, threshold: float) -> Tensor:
    """Average the cross entropy of images with a vote that reaches the threshold; 0 if there is none.

    Args:
        logits_BC: the network's, which are trained.
        voted_BC: probabilities that label the images, without a graph.
        threshold: smallest probability that is accepted.
    """
    confidences_B, labels_B = voted_BC.max(dim=1)
    accepted_B = (confidences_B >= threshold).to(logits_BC.dtype)
    losses_B = functional.cross_entropy(logits_BC, labels_B, reduction="none")
    return (accepted_B * losses_B).sum() / accepted_B.sum().clamp(min=1)


def make(options: Mapping[str, Any]) -> DCTN:
    """Build the term from its options in the registry."""
    return DCTN(**{**options, "hidden": int(options["hidden"])})
