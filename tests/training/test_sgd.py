"""Momentum SGD against torch's own."""

import subprocess
import sys

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


def test_it_does_not_import_torchs_compiler():
    code = (
        "import sys, torch; from gradmix.training.sgd import SGD;"
        "p = torch.nn.Parameter(torch.ones(2)); p.grad = torch.ones(2);"
        "SGD([p], lr=0.1, momentum=0.9, weight_decay=0.0).step();"
        "print('torch._dynamo' in sys.modules)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "False"
