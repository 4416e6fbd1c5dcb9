"""EnergyNet (Li et al. 2017): cross entropy for the network, and energies of attention maps, trained beside it.

Shapes: B images of the mini-batch, C classes, F channels, P positions of the feature maps.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gradmix.nets.energy import EnergyNet, attention
from gradmix.terms.adam import adam_state, load_adam_state
from gradmix.terms.context import Context


class Energy:
    """Cross entropy; and one Adam step of the network's EnergyNet, which makes none of the network's gradient.

    The EnergyNet learns that the true class has a larger energy than the most probable wrong one, and that
    embedded attention maps of one class are nearer to each other than to those of other classes.

    Args:
        learning_rate: Adam's.
        margin: between the energies of the true class and the wrong one.
        triplet_margin: between squared distances of embeddings.
    """

    reads_features = False

    def __init__(self, *, learning_rate: float, margin: float, triplet_margin: float) -> None:
        self.learning_rate = learning_rate
        self.margin = margin
        self.triplet_margin = triplet_margin
        self._adam: torch.optim.Adam | None = None
        self._kept: Mapping[str, Tensor] = {}

    def __call__(self, context: Context) -> Tensor:
        """Train the EnergyNet by one step, and give the cross entropy, which trains the network."""
        network = context.network
        with context.autocast:
            maps_BFHW = network.feature_maps(context.inputs, context.domain)
            features_BF = network.pool(maps_BFHW)
        logits_BC = context.classify(features_BF.float())
        self._train(
            network.energy_of(context.label_space),
            maps_BFHW.detach().float(),
            network.heads.weight_of(context.label_space).detach(),
            logits_BC.detach(),
            context.labels,
        )
        return functional.cross_entropy(logits_BC, context.labels)

    def _train(
        self,
        energies: EnergyNet,
        maps_BFHW: Tensor,
        weight_CF: Tensor,
        logits_BC: Tensor,
        labels_B: Tensor,
    ) -> None:
        if self._adam is None:
            # Named here only: torch.optim imports torch's compiler when an optimizer is first made.
            self._adam = torch.optim.Adam(energies.parameters(), lr=self.learning_rate)
            load_adam_state(self._adam, self._kept)
            self._kept = {}
        wrong_B = logits_BC.scatter(1, labels_B[:, None], -torch.inf).argmax(dim=1)
        pairs_B2 = torch.stack([labels_B, wrong_B], dim=1)
        attention_B2P = attention(maps_BFHW, weight_CF, pairs_B2)
        energies_B2 = energies(attention_B2P, pairs_B2)
        loss = energy_loss(energies_B2, self.margin)
        loss = loss + triplet_loss(
            energies.embed(attention_B2P[:, :1])[:, 0], labels_B, self.triplet_margin
        )
        parameters = list(energies.parameters())
        # Straight into .grad, and out of it again: the network's own optimizer must not see these.
        for parameter, gradient in zip(
            parameters, torch.autograd.grad(loss, parameters), strict=True
        ):
            parameter.grad = gradient
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Adam's moments and step counts; the EnergyNet itself is part of the network."""
        return dict(self._kept) if self._adam is None else adam_state(self._adam)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue where `state` was taken."""
        self._kept = dict(state)
        self._adam = None


def energy_loss(energies_B2: Tensor, margin: float) -> Tensor:
    """Mean of ``max(0, margin - E(x, y) + E(x, wrong))``; the columns are the true class and a wrong one."""
    return functional.relu(margin - energies_B2[:, 0] + energies_B2[:, 1]).mean()


def triplet_loss(embeddings_BE: Tensor, labels_B: Tensor, margin: float) -> Tensor:
    """Mean of ``max(0, margin + farthest of the class - nearest of another)``, squared distances in the mini-batch.

    Images without another one of their class, or without one of another class, count as 0.
    """
    distances_BB = (embeddings_BE[:, None] - embeddings_BE[None]).square().sum(dim=2)
    same_BB = labels_B[:, None] == labels_B[None]
    alone_B = (same_BB.sum(dim=1) < 2) | same_BB.all(dim=1)
    farthest_B = distances_BB.masked_fill(~same_BB, -torch.inf).amax(dim=1)
    nearest_B = distances_BB.masked_fill(same_BB, torch.inf).amin(dim=1)
    losses_B = functional.relu(margin + farthest_B - nearest_B)
    return losses_B.masked_fill(alone_B, 0.0).mean()


def make(options: Mapping[str, Any]) -> Energy:
    """Build the term from its options in the registry."""
    return Energy(**options)
