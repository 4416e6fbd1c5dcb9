"""A whole training step never asks the device for a value: the host only queues work.

Every mixer by itself is in `test_properties.py`; here are a network, forward passes of both kinds and an optimizer.
Tensors on the meta device have shapes and dtypes only; whatever reads a value raises.
"""

import pytest
import torch
from torch.nn.functional import cross_entropy

from gradmix import ConvNet, GradMix, GuardedSum, forward_together, layers_of
from gradmix.training.sgd import SGD


def step(mixer_class, joint, **options):
    device = "meta"
    with torch.device(device):
        net = ConvNet({"a": 5, "b": 5}, image_size=(16, 16), width=4, hidden=8)
    mixer = mixer_class(layers_of(net.backbone), **options)
    # The flags' way to the host is asynchronous (an event behind a copy); fakes have neither.
    mixer._check.submit = lambda *arguments: False
    optimizer = SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.0)
    xs = [torch.empty(4, 3, 16, 16, device=device) for _ in range(3)]
    ys = [torch.empty(4, dtype=torch.int64, device=device) for _ in range(3)]
    for _ in range(2):
        features = forward_together(net.features, xs) if joint else [net.features(x) for x in xs]
        losses = [
            cross_entropy(net.classify(f, space), y)
            for f, space, y in zip(features, ("a", "b", "a"), ys, strict=True)
        ]
        optimizer.zero_grad()
        mixer.backward(losses[:-1], losses[-1])
        mixer.step(optimizer)
    return net


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize(
    ("mixer_class", "options"),
    [
        (GradMix, {}),
        (GradMix, {"eta_on": "grad", "last_layer": "H0"}),
        (GuardedSum, {"per": "source"}),
    ],
)
def test_no_value_is_read_in_a_step(mixer_class, options, joint):
    net = step(mixer_class, joint, **options)
    assert all(p.grad is not None for p in net.backbone.parameters())


def test_a_read_would_be_noticed():
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        step(GradMix, False, solver="slsqp")
