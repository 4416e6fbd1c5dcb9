"""GradMix against an independent implementation of the paper, over whole steps of training."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from reference import Reference, best_weights
from torch import nn
from torch.nn.functional import cross_entropy

from gradmix.mixing.gradmix import GradMix
from gradmix.mixing.layers import layers_of

STEPS = 4
STREAMS = "abba"  # heads of three sources and of the target
RATE = 0.1


class Recurrent(nn.Module):
    """An LSTM's last output; inputs (N, 6) as 3 steps of 2 numbers."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 5, num_layers=2, batch_first=True)

    def forward(self, x):
        return self.lstm(x.view(-1, 3, 2))[0][:, -1]


class Attention(nn.Module):
    """A transformer layer over 3 tokens."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(2, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)

    def forward(self, x):
        return self.layer(self.embed(x.view(-1, 3, 2))).mean(dim=1)


class TiedAndFrozen(nn.Module):
    """One weight used by two layers, with a bias of each, and a layer that nobody trains between them."""

    def __init__(self):
        super().__init__()
        self.first, self.frozen, self.last = (nn.Linear(6, 6) for _ in range(3))
        self.last.weight = self.first.weight
        self.frozen.requires_grad_(False)

    def forward(self, x):
        return torch.tanh(self.last(torch.tanh(self.frozen(torch.tanh(self.first(x))))))


def mlp():
    return nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 5), nn.Tanh())


def convolutions():
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)),
        *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh()),
        *(nn.Conv2d(4, 5, 2), nn.BatchNorm2d(5), nn.Tanh()),
        nn.Flatten(),
    )


BACKBONES = {
    "MLP": mlp,
    "convolutions": convolutions,
    "LSTM": Recurrent,
    "transformer": Attention,
    "tied and frozen": TiedAndFrozen,
}


class Net(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = BACKBONES[backbone]()
        width = self.backbone(torch.ones(4, 6)).shape[1]
        self.heads = nn.ModuleDict({"a": nn.Linear(width, 3), "b": nn.Linear(width, 2)})

    def forward(self, x, head):
        return self.heads[head](self.backbone(x))


def losses(net, step, parts=1, part=0):
    """A part of the losses of the sources and, last, the target."""
    random = torch.Generator().manual_seed(step)
    by_domain = []
    for head in STREAMS:
        x = torch.randn(12, 6, generator=random, dtype=torch.float64).to(net.heads["a"].weight)
        y = torch.randint(0, net.heads[head].out_features, (12,), generator=random)
        by_domain.append(cross_entropy(net(x[part::parts], head), y[part::parts]) / parts)
    return by_domain


def gradients(net, step, parts):
    """Every loss's gradient by plain autograd, summed over the parts of the batch."""
    named = {name: p for name, p in net.named_parameters() if p.requires_grad}
    total = [{} for _ in STREAMS]
    for part in range(parts):
        for sums, loss in zip(total, losses(net, step, parts, part), strict=True):
            rows = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
            for name, row in zip(named, rows, strict=True):
                if row is not None:
                    sums[name] = sums.get(name, 0) + row.double().numpy()
    return total


def compare(backbone, *, parts=1, dtype=torch.float64, tolerance=1e-12, momentum=0.9, **options):
    """Train both for a few steps; all that the mixer tells and all that it changes must agree."""
    ours = Net(backbone).to(dtype)
    theirs = deepcopy(ours)
    options = {"rho": "sum", **options}
    mixer = GradMix(layers_of(ours.backbone), **options)
    optimizer = torch.optim.SGD(ours.parameters(), lr=RATE, momentum=momentum)
    name_of = {id(p): name for name, p in ours.named_parameters()}
    layers = [[name_of[id(p)] for p in layer.parameters] for layer in mixer.layers]
    reference = Reference(layers, RATE, momentum, **options)
    etas = []
    for step in range(STEPS):
        optimizer.zero_grad()
        for part in range(parts):
            *sources, target = losses(ours, step, parts, part)
            if part < parts - 1:
                mixer.accumulate(sources, target)
        told = mixer.backward(sources, target)
        mixer.step(optimizer)

        *sources, target = gradients(theirs, step, parts)
        arrays = {name: p.detach().double().numpy().copy() for name, p in theirs.named_parameters()}
        reference.step(arrays, sources, target)
        with torch.no_grad():
            for name, parameter in theirs.named_parameters():
                parameter.copy_(torch.from_numpy(arrays[name]))

        for name, expected in reference.told.items():
            np.testing.assert_allclose(getattr(told, name), expected, rtol=0, atol=tolerance)
        for name, tensor in theirs.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], tensor, rtol=0, atol=tolerance)
        etas.append(told.eta.item())
    return etas


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("parts", [1, 3], ids=["whole", "accumulated"])
def test_training_steps_are_the_papers(backbone, parts):
    if backbone == "convolutions" and parts > 1:
        parts = 2  # batch normalisation wants more than a few images
    etas = compare(backbone, parts=parts)
    # Neither saturated nor constant: the rate is compared where it matters.
    assert len({round(eta, 3) for eta in etas}) > 1


@pytest.mark.parametrize("last_layer", ["H0", "H1"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("eta_on", ["lr", "grad"])
@pytest.mark.parametrize("eta_on_heads", [None, False, True])
def test_rate_heads_and_momentum(last_layer, momentum, eta_on, eta_on_heads):
    compare(
        "MLP", last_layer=last_layer, momentum=momentum, eta_on=eta_on, eta_on_heads=eta_on_heads
    )


@pytest.mark.parametrize(
    "options",
    [{"rho": "mean"}, {"rho": "scaled"}, {"beta": 3.0, "gamma": -0.2}, {"adaptive_rate": False}],
)
def test_options_of_the_rate(options):
    compare("MLP", **options)


@pytest.mark.parametrize("backbone", ["MLP", "transformer"])
def test_autocast_to_rounding(backbone):
    """Both see the same bfloat16 forward passes; weights and their sums stay in float32."""
    with torch.autocast("cpu", torch.bfloat16):
        compare(backbone, dtype=torch.float32, tolerance=1e-5)


def test_the_reference_finds_a_known_maximum():
    sources = [np.array([2.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])]
    # Along (1, 1): parts 1/2 and 1 of the sources' gradients; the third opposes the target.
    weights = best_weights(sources, np.array([1.0, 1.0, -1.0]))
    np.testing.assert_allclose(weights, [1 / 3, 2 / 3, 0], atol=1e-15)
    assert best_weights(sources, np.array([-1.0, -2.0, -3.0])).tolist() == [1, 0, 0]
    assert best_weights(sources, np.zeros(3)).tolist() == [1 / 3] * 3
