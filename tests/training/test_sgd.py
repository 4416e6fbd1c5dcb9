"""Momentum SGD against torch's own."""

import pytest
import torch
from torch import nn

from gradmix.training.sgd import SGD


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 0.0), (0.9, 5e-4)])
def test_equals_torch_bit_for_bit(momentum, weight_decay):
    torch.manual_seed(0)
    ours, theirs = nn.Linear(7, 5), nn.Linear(7, 5)
    theirs.load_state_dict(ours.state_dict())
    first = SGD(ours.parameters(), lr=0.05, momentum=momentum, weight_decay=weight_decay)
    second = torch.optim.SGD(
        theirs.parameters(), lr=0.05, momentum=momentum, weight_decay=weight_decay
    )
    for step in range(5):
        x = torch.randn(4, 7)
        for module, optimizer in ((ours, first), (theirs, second)):
            optimizer.zero_grad()
            loss = module(x).square().mean() if step else (x @ module.weight.T).square().mean()
            loss.backward()  # the bias has no gradient in the first step
            optimizer.step()
    assert torch.equal(ours.weight, theirs.weight)
    assert torch.equal(ours.bias, theirs.bias)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_stacked_models_take_each_its_own_step(momentum):
    """Two models with rates of their own, one further than the other, whose states stay their own."""
    rates, generator = (0.05, 0.2), torch.Generator().manual_seed(0)
    start_MN = torch.randn(2, 3, dtype=torch.float64, generator=generator)
    gradients_TMN = torch.randn(4, 2, 3, dtype=torch.float64, generator=generator)
    alone = [nn.Parameter(start_N.clone()) for start_N in start_MN]
    theirs = [
        torch.optim.SGD([parameter], lr=rate, momentum=momentum, weight_decay=0.1)
        for parameter, rate in zip(alone, rates, strict=True)
    ]
    parameters = [nn.Parameter(start_N.clone()) for start_N in start_MN]
    ours = [
        SGD([parameter], lr=rate, momentum=momentum, weight_decay=0.1)
        for parameter, rate in zip(parameters, rates, strict=True)
    ]
    # The first has taken a step before they are stacked.
    alone[0].grad, parameters[0].grad = gradients_TMN[0, 0].clone(), gradients_TMN[0, 0].clone()
    theirs[0].step()
    ours[0].step()
    stacked = nn.Parameter(torch.stack([parameter.detach() for parameter in parameters]))
    optimizer = SGD.stack(ours, [stacked])
    for gradients_MN in gradients_TMN[1:]:
        stacked.grad = gradients_MN.clone()
        optimizer.step()
        for parameter, own, gradient_N in zip(alone, theirs, gradients_MN, strict=True):
            parameter.grad = gradient_N.clone()
            own.step()
    torch.testing.assert_close(stacked, torch.stack(alone), rtol=1e-12, atol=1e-12)
    for model, (own, parameter) in enumerate(zip(ours, alone, strict=True)):
        buffers = [theirs[model].state[parameter]["momentum_buffer"]] if momentum else []
        torch.testing.assert_close(list(own.state().values()), buffers, rtol=1e-12, atol=1e-12)
