"""A mixer of one's own, as the documentation writes it, in a loop and over several models."""

import re
from collections.abc import Hashable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from gradmix import GradientMixer, LayerStatistics, layers_of, mix


@pytest.fixture(params=["core.md", "extending.md"])
def own(request, repository):
    text = (repository / "docs" / request.param).read_text()
    (code,) = re.findall(r"```python\n(class \w+\(GradientMixer\):.*?)```", text, re.DOTALL)
    assert code.count("\n") <= 10
    names = {
        "GradientMixer": GradientMixer,
        "Hashable": Hashable,
        "LayerStatistics": LayerStatistics,
        "Tensor": Tensor,
    }
    exec(compile(code, request.param, "exec"), names)
    return names[re.search(r"class (\w+)", code).group(1)]


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()


def test_it_trains(own):
    net, x = network(0), torch.randn(4, 8, 4, dtype=torch.float64)
    mixer, optimizer = own(layers_of(net)), torch.optim.SGD(net.parameters(), lr=0.1)
    target_losses = []
    for _ in range(5):
        optimizer.zero_grad()
        *sources, target = [net(batch).square().mean() for batch in x]
        step = mixer.backward(sources, target)
        mixer.step(optimizer)
        target_losses.append(target.item())
        assert step.weights_LK.sum(dim=1).tolist() == pytest.approx([1, 1])
    assert all(later < earlier for earlier, later in pairwise(target_losses))
    gradients = [{"w": torch.ones(2)}, {"w": torch.ones(2)}]
    mixed, _ = mix(gradients, {"w": torch.ones(2)}, weigh=mixer.weigh)
    assert mixed["w"].tolist() == [1, 1]


def test_over_several_models_it_is_each_models(own):
    nets = [network(seed) for seed in range(3)]
    if own(layers_of(nets[0])).stack_key() is None:
        pytest.skip("it does not say that it can")
    x = torch.randn(3, 3, 8, 4, dtype=torch.float64)
    mixers = [own(layers_of(net)) for net in nets]
    assert len({mixer.stack_key() for mixer in mixers}) == 1
    leaves = [
        torch.stack([p.detach() for p in each]).requires_grad_()
        for each in zip(*(net.parameters() for net in nets), strict=True)
    ]
    stacked = own.stack(mixers, dict(zip(nets[0].parameters(), leaves, strict=True)))
    assert (stacked.lead, mixers[0].lead) == (1, 0)
    names = [name for name, _ in nets[0].named_parameters()]

    def losses(parameters, x):
        own = dict(zip(names, parameters, strict=True))
        return [torch.func.functional_call(nets[0], own, (b,)).square().mean() for b in x]

    *sources, target = torch.vmap(losses)(leaves, x)
    together = stacked.backward(sources, target)
    for index, (net, mixer) in enumerate(zip(nets, mixers, strict=True)):
        *sources, target = [net(batch).square().mean() for batch in x[index]]
        step = mixer.backward(sources, target)
        torch.testing.assert_close(together.cosines_L[index], step.cosines_L)
        for leaf, parameter in zip(leaves, net.parameters(), strict=True):
            torch.testing.assert_close(leaf.grad[index], parameter.grad)
