"""The guided sum: the plain sum where all weights are equal, GradMix's weights where nothing is averaged."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradmix.mixing.guided_sum import GuidedSum
from gradmix.mixing.layers import Layer, layers_of
from gradmix.mixing.solvers.exact import exact_weights


class Net(nn.Module):
    """Two shared layers; two heads."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3), nn.Tanh())
        self.a, self.b = nn.Linear(3, 2), nn.Linear(3, 2)


def losses_of(net, seed):
    generator = torch.Generator().manual_seed(seed)
    by_domain = []
    for head in (net.a, net.b, net.a):
        x = torch.randn(6, 4, dtype=torch.float64, generator=generator)
        y = torch.randint(0, 2, (6,), generator=generator)
        by_domain.append(functional.cross_entropy(head(net.backbone(x)), y))
    return by_domain


def network():
    torch.manual_seed(0)
    return Net().double()


def mixer_of(net, **options):
    heads = [Layer(name, tuple(getattr(net, name).parameters())) for name in ("a", "b")]
    return GuidedSum(layers_of(net.backbone), heads=heads, **options)


def test_without_trust_it_is_the_plain_sum_of_all_losses():
    net, pooled = network(), network()
    *sources, target = losses_of(net, 1)
    step = mixer_of(net, trust=0.0).backward(sources, target)
    torch.stack(losses_of(pooled, 1)).sum().backward()
    for ours, theirs in zip(net.parameters(), pooled.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    assert step.eta == 1


def test_without_averages_weights_are_gradmixs_and_the_target_trains():
    net, other = network(), network()
    *sources, target = losses_of(net, 2)
    step = mixer_of(net, average=0.0).backward(sources, target)
    losses = losses_of(other, 2)
    layer = next(iter(layers_of(other.backbone)))
    rows = torch.stack(
        [
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, layer.parameters)])
            for loss in losses
        ]
    )
    weights = exact_weights((rows[:2] @ rows[:2].T)[None], (rows[:2] @ rows[2])[None])[0]
    torch.testing.assert_close(step.weights_LK[0], weights)
    mixture = torch.cat([p.grad.flatten() for p in layers_of(net.backbone)[0].parameters])
    torch.testing.assert_close(mixture, 2 * (weights @ rows[:2]) + rows[2])


def fixed_gradients(*rows):
    """A parameter and losses whose gradients are these rows."""
    parameter = nn.Parameter(torch.zeros(len(rows[0]), dtype=torch.float64))
    return parameter, [(parameter * torch.tensor(row, dtype=torch.float64)).sum() for row in rows]


def test_the_averages_by_hand():
    # First step: v along g_1 alone. Second: along g_2 alone. Cosines (1, 0) and (0, 1), averaged with 0.75.
    parameter, _ = fixed_gradients([1.0, 0.0])
    mixer = GuidedSum([Layer("only", (parameter,))], average=0.75)

    def step(*rows):
        losses = [(parameter * torch.tensor(row, dtype=torch.float64)).sum() for row in rows]
        return mixer.backward(losses[:-1], losses[-1]).weights_LK[0].tolist()

    assert step([1.0, 0.0], [0.0, 1.0], [2.0, 0.0]) == [1, 0]
    # Orthogonal sources of length 1: weights are as the averaged cosines, 0.75 : 0.25.
    assert step([1.0, 0.0], [0.0, 1.0], [0.0, 5.0]) == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize("options", [{"average": 1.0}, {"average": -0.1}, {"trust": 1.5}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        mixer_of(network(), **options)
