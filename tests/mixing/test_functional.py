"""The functional level: gradients in, a mixture out, the same as a mixer's."""

import pytest
import torch
from torch import nn

from gradmix import GradMix, MetaGradient, layers_of, mix


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()


def loss_of(net, parameters, seed):
    x = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.func.functional_call(net, parameters, (x,)).square().mean()


@pytest.mark.parametrize("kind", [GradMix, MetaGradient])
def test_the_mixture_is_a_mixers(kind):
    net = network()
    parameters = {name: p.detach() for name, p in net.named_parameters()}
    gradients = {
        f"source {i}": torch.func.grad(lambda p, i=i: loss_of(net, p, i))(parameters)
        for i in range(3)
    }
    target = torch.func.grad(lambda p: loss_of(net, p, 9))(parameters)
    layers = {"0": ["0.weight", "0.bias"], "2": ["2.weight", "2.bias"]}
    mixer = kind(layers_of(net))
    own = dict(net.named_parameters())
    step = mixer.backward([loss_of(net, own, i) for i in range(3)], loss_of(net, own, 9))
    for given in (gradients, list(gradients.values())):
        mixed, weights_LK = mix(given, target, layers, weigh=mixer.weigh)
        torch.testing.assert_close(weights_LK, step.weights_LK)
        for name, p in net.named_parameters():
            torch.testing.assert_close(mixed[name], p.grad)
    if kind is GradMix:
        assert torch.equal(mix(gradients, target, layers)[1], weights_LK)
        assert mix(gradients, target)[1].shape == (4, 3)


def test_what_is_missing_is_told():
    with pytest.raises(ValueError, match="at least one source"):
        mix([], {"w": torch.ones(2)})
    with pytest.raises(ValueError, match="layer one: not every gradient has 'v'"):
        mix([{"w": torch.ones(2)}], {"w": torch.ones(2)}, {"one": ["v"]})
