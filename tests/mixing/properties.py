"""Every mixer, and gradients to give it: what the shared checks of `test_properties.py` are made of.

GRADMIX_TEST_DEVICE and GRADMIX_TEST_DTYPE name where and in what precision they run (cpu and float64 unless set).

Shapes: L layers, K sources, R = K + 1 rows (the sources, then the target), D parameters of a layer, M models.
"""

import os
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from problems import bank
from torch import nn

from gradmix.mixing.fixed_weights import FixedWeights
from gradmix.mixing.gradmix import GradMix
from gradmix.mixing.guarded_sum import GuardedSum
from gradmix.mixing.guided_sum import GuidedSum
from gradmix.mixing.layers import Layer
from gradmix.mixing.mean import Mean
from gradmix.mixing.meta_gradient import MetaGradient
from gradmix.mixing.sum import Sum

DEVICE = torch.device(os.environ.get("GRADMIX_TEST_DEVICE", "cpu"))
DTYPE = getattr(torch, os.environ.get("GRADMIX_TEST_DTYPE", "float64"))
# What is written in the parameters' precision; weights come from float64 whatever that is.
EPSILON = torch.finfo(DTYPE).eps

# Where the best mixture is one and only one, and no digit of it is lost.
PLAIN = ["gaussian", "in_cone", "opposed", "ill_conditioned"]


@dataclass(frozen=True)
class Mixer:
    """A mixer and what it promises.

    Attributes:
        solves: weights have the largest cosine with the target, and sum to 1.
        guided: the target's gradient decides on the weights.
        target_trains: the target's gradient is added, with factor 1.
        sum_length: the mixture is multiplied by the number of sources.
        known: weights that no gradient changes, of sources by number.
    """

    kind: type
    options: dict[str, Any] = field(default_factory=dict)
    solves: bool = False
    guided: bool = True
    target_trains: bool = False
    sum_length: bool = False
    known: Callable[[list[int]], list[float]] | None = None

    def made(self, layers, sources):
        """A new one for sources of these numbers."""
        options = dict(self.options)
        if self.kind is FixedWeights:
            options["weights"] = self.known(sources)
        return self.kind(layers, **options)


MIXERS = {
    "GradMix": Mixer(GradMix, {"rho": "sum"}, solves=True),
    "GradMix with averages": Mixer(GradMix, {"rho": "sum", "average": 0.9}, solves=True),
    "MetaGradient": Mixer(MetaGradient),
    "GuidedSum": Mixer(GuidedSum, solves=True, target_trains=True, sum_length=True),
    "GuardedSum per layer": Mixer(GuardedSum, {"per": "layer"}, target_trains=True),
    "GuardedSum per source": Mixer(GuardedSum, {"per": "source"}, target_trains=True),
    "Sum": Mixer(Sum, guided=False, known=lambda sources: [1.0] * len(sources)),
    "Mean": Mixer(Mean, guided=False, known=lambda sources: [1 / len(sources)] * len(sources)),
    "FixedWeights": Mixer(
        FixedWeights, guided=False, known=lambda sources: [0.5 + number for number in sources]
    ),
}


def state_of(mixer):
    """What a resumed training needs, copied."""
    state = mixer.state_dict()
    return {n: v.clone() if isinstance(v, torch.Tensor) else v for n, v in state.items()}


def without_check(mixer):
    """Leave out the check for NaN, whose way to the host needs a device with events."""
    mixer._check.submit = lambda *arguments: False
    return mixer


def rows_of(sources, per_family=2, families=None, seed=0):
    """rows_LRD: the bank's problems as layers of one model, rounded to the precision under test."""
    problems = bank(sources, per_family, families, seed)
    rows_LRD = np.concatenate([problems.sources.swapaxes(1, 2), problems.targets[:, None]], axis=1)
    return torch.from_numpy(rows_LRD).to(DEVICE, DTYPE)


@dataclass(frozen=True)
class Mixed:
    """What a step wrote, and told: ``.grad`` of the layers, weights in float64 on the CPU, and the `MixedStep`."""

    grad_LD: torch.Tensor
    weights_LK: torch.Tensor
    step: Any


class Session:
    """One mixer and the parameters that it trains; their losses are linear, so that any gradients can be given.

    With a leading dimension of models, rows are rows_LRMD and losses have one entry per model.
    """

    def __init__(self, mixer, like_LRD, sources=None):
        self.promises = mixer
        self.parameters = [nn.Parameter(torch.zeros_like(rows[0])) for rows in like_LRD]
        self.layers = [Layer(f"layer {i}", (p,)) for i, p in enumerate(self.parameters)]
        self.sources = list(range(like_LRD.shape[1] - 1)) if sources is None else sources
        self.mixer = mixer.made(self.layers, self.sources)

    def losses(self, rows_LRD):
        """One per row."""
        return [
            torch.stack(
                [(p * g).sum(-1) for p, g in zip(self.parameters, of_loss, strict=True)]
            ).sum(0)
            for of_loss in rows_LRD.unbind(1)
        ]

    def backward(self, rows_LRD):
        """The mixer's `backward`; without the target's loss where the losses of the sources are all it needs."""
        *sources, target = self.losses(rows_LRD)
        return self.mixer.backward(sources, *([target] if self.promises.guided else []))

    def mix(self, rows_LRD):
        """One step of the mixer."""
        for parameter in self.parameters:
            parameter.grad = None
        step = self.backward(rows_LRD)
        grad_LD = torch.stack([p.grad for p in self.parameters])
        if self.promises.known:
            known = torch.tensor(self.promises.known(self.sources), dtype=torch.float64)
            weights_LK = known.expand(len(self.parameters), -1)
            torch.testing.assert_close(step.weights_LK.cpu().double(), weights_LK)
        else:
            weights_LK = step.weights_LK.cpu()
        return Mixed(grad_LD, weights_LK, step)


def stack(sessions):
    """The sessions of several models as one; ``None``: their mixer cannot be stacked, since it keeps a memory."""
    mixers = [session.mixer for session in sessions]
    if mixers[0].stack_key() is None:
        return None
    one = copy(sessions[0])
    models = zip(*(session.parameters for session in sessions), strict=True)
    one.parameters = [
        torch.stack([p.detach() for p in of_all]).requires_grad_() for of_all in models
    ]
    places = dict(zip(sessions[0].parameters, one.parameters, strict=True))
    one.mixer = type(mixers[0]).stack(mixers, places)
    return one


def mixed(mixer, rows_LRD, sources=None):
    """One step of a new mixer."""
    return Session(mixer, rows_LRD, sources).mix(rows_LRD)


def mixture(rows_LRD, weights_LK):
    """The sum of weighted source gradients, in float64 on the CPU."""
    return torch.einsum("lkd,lk->ld", rows_LRD[:, :-1].cpu().double(), weights_LK)


def directions(vectors_LD):
    """Unit vectors; zeros stay."""
    norm_L1 = vectors_LD.norm(dim=1, keepdim=True)
    return vectors_LD / torch.where(norm_L1 > 0, norm_L1, 1)


def cosines(rows_LRD, weights_LK):
    """Of the mixtures with the targets, from the vectors, largest part first made 1 so that no digit is lost."""
    rows_LRD = rows_LRD.cpu().double()
    parts_LKD = weights_LK[..., None] * rows_LRD[:, :-1]
    largest_L11 = parts_LKD.abs().amax((1, 2), keepdim=True)
    mixed_LD = (parts_LKD / torch.where(largest_L11 > 0, largest_L11, 1)).sum(1)
    return (directions(mixed_LD) * directions(rows_LRD[:, -1])).sum(1)
