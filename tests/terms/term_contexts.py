"""Contexts of random images on a tiny, smooth network, for tests of terms by finite differences."""

from contextlib import nullcontext

import torch
from torch import nn

from gradmix.terms.context import Context


class TinyNet(nn.Module):
    """Four pixels to four features by a linear map and tanh; a linear head of three classes, and one of two."""

    in_channels = 1

    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(4, 4)
        self.heads = nn.ModuleDict({"a": nn.Linear(4, 3), "b": nn.Linear(4, 2)})

    def features(self, images, domain=None):
        return torch.tanh(self.backbone(images.flatten(1)))

    def classify(self, features, label_space, domain=None):
        return self.heads[label_space](features)

    def forward(self, images, label_space, domain=None):
        return self.classify(self.features(images, domain), label_space, domain)


def contexts_of(network, sets, *, step=0, steps=10):
    """Contexts by stream from ``{name: (number of images, label space, domain)}``; the same images every time."""
    streams = {}
    for seed, (name, (count, label_space, domain)) in enumerate(sets.items()):
        generator = torch.Generator().manual_seed(seed)
        streams[name] = Context(
            network,
            torch.randn(count, 1, 2, 2, generator=generator) + seed,
            torch.full((count,), -1),
            label_space,
            domain,
            step=step,
            steps=steps,
            streams=streams,
            autocast=nullcontext(),
        )
    return streams


def assert_gradient(loss, parameter, gradient, *, h=1e-2):
    """The central differences of ``loss()`` in every entry of a parameter are its gradient."""
    differences = torch.empty(parameter.numel())
    entries = parameter.data.view(-1)
    for index in range(parameter.numel()):
        values = []
        for sign in (1, -1):
            entries[index] += sign * h
            values.append(float(loss()))
            entries[index] -= sign * h
        differences[index] = (values[0] - values[1]) / (2 * h)
    torch.testing.assert_close(differences, gradient.flatten(), rtol=2e-2, atol=2e-4)
