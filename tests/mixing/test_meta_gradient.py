"""GradMix SGD: its weights against finite differences of the target loss after a virtual step."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradmix.mixing.layers import layers_of
from gradmix.mixing.meta_gradient import MetaGradient


class Net(nn.Module):
    """Two shared layers, and a head that both sources and the target use."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3), nn.Tanh())
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.backbone(x))


def problem(seed):
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    net = Net().double()
    batches = [
        (
            torch.randn(6, 4, dtype=torch.float64, generator=generator),
            torch.randint(0, 2, (6,), generator=generator),
        )
        for _ in range(4)
    ]
    return net, batches


def losses_of(net, batches):
    return [functional.cross_entropy(net(x), y) for x, y in batches]


@pytest.mark.parametrize("seed", range(5))
def test_weights_are_the_meta_gradient_at_zero_by_finite_differences(seed):
    net, batches = problem(seed)
    mixer = MetaGradient(layers_of(net.backbone), heads=layers_of(net.head))
    *sources, target = losses_of(net, batches)
    step = mixer.backward(sources, target)
    gradients = [
        torch.autograd.grad(loss, list(net.parameters())) for loss in losses_of(net, batches)[:3]
    ]
    position = {id(p): i for i, p in enumerate(net.parameters())}
    small = 1e-5
    for index, layer in enumerate([*mixer.layers, *mixer.heads]):
        changes = []
        for gradient in gradients:
            values = []
            for sign in (1, -1):  # f_V(theta - sign * small * g_i on this layer alone)
                with torch.no_grad():
                    for p in layer.parameters:
                        p -= sign * small * gradient[position[id(p)]]
                    values.append(losses_of(net, batches)[3].item())
                    for p in layer.parameters:
                        p += sign * small * gradient[position[id(p)]]
            changes.append((values[0] - values[1]) / (2 * small))
        helps = torch.tensor([max(0.0, -change) for change in changes], dtype=torch.float64)
        expected = helps / helps.sum() if helps.sum() > 0 else helps
        weights = torch.cat([step.weights_LK, step.head_weights_HK])[index]
        torch.testing.assert_close(weights, expected, atol=1e-6, rtol=1e-5)


def test_orthogonal_sources_get_weights_by_their_inner_products():
    from gradmix.mixing.layers import Layer

    shared = nn.Parameter(torch.zeros(2))
    mixer = MetaGradient([Layer("shared", (shared,))])
    # g_1 = (2, 0), g_2 = (0, 1), v = (1, 3): b = (2, 3).
    step = mixer.backward([2 * shared[0], shared[1]], shared[0] + 3 * shared[1])
    torch.testing.assert_close(step.weights_LK, torch.tensor([[0.4, 0.6]], dtype=torch.float64))


def test_a_head_that_the_target_does_not_use_learns_from_its_sources():
    from gradmix.mixing.layers import Layer

    shared, own = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    mixer = MetaGradient([Layer("shared", (shared,))], heads=[Layer("own", (own,))])
    mixer.backward([shared.sum(), (shared * own).sum()], shared.sum())
    assert own.grad.tolist() == [1, 1]
