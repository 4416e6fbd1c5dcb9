"""The optimizers behind the loop: Adam's numbers are torch's, and a name that is none is refused."""

import pytest
import torch
from torch import nn

from gradmix.training.optimizers import make_optimizer


def stepped(optimizer, parameter, steps):
    for step in range(steps):
        optimizer.zero_grad()
        ((parameter - step) ** 2).sum().backward()
        optimizer.step()
    return parameter.detach().clone()


def test_adam_is_torchs():
    ours, theirs = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    made = make_optimizer("adam", [ours], lr=0.1, momentum=0.9, weight_decay=0.01)
    expected = stepped(torch.optim.Adam([theirs], lr=0.1, weight_decay=0.01), theirs, 5)
    assert torch.equal(stepped(made, ours, 5), expected)


def test_adams_state_restores_it():
    first = nn.Parameter(torch.ones(3))
    made = make_optimizer("adam", [first], lr=0.1, momentum=0.0, weight_decay=0.0)
    stepped(made, first, 3)
    second = nn.Parameter(first.detach().clone())
    other = make_optimizer("adam", [second], lr=0.1, momentum=0.0, weight_decay=0.0)
    other.load({name: tensor.clone() for name, tensor in made.state().items()})
    assert torch.equal(stepped(made, first, 3), stepped(other, second, 3))


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="optimizer must be"):
        make_optimizer("lion", [], lr=0.1, momentum=0.0, weight_decay=0.0)
