"""Labels by the averaged network: the average by hand, the threshold, the warm-up, and resuming."""

import pytest
import torch
from term_contexts import TinyNet, contexts_of
from torch.nn import functional

from gradmix.terms.registry import TERMS
from gradmix.terms.self_labels import make

STILL = {"shift": 0.0, "rotation": 0.0, "scale": 0.0, "shear": 0.0}


def term(**options):
    return make({**TERMS["self_labels"].options, **STILL, **options})


def network():
    torch.manual_seed(0)
    return TinyNet()


def context_of(net, step):
    return contexts_of(net, {"U": (6, "a", "target")}, step=step)["U"]


def test_the_loss_is_the_cross_entropy_of_the_labels_that_are_sure():
    net = network()
    context = context_of(net, step=9)
    with torch.no_grad():
        probabilities = net(context.inputs, "a").softmax(dim=1)
    sure, labels = probabilities.max(dim=1)
    threshold = float(sure.sort().values[2:4].mean())  # half of them
    loss = term(threshold=threshold)(context)
    losses = functional.cross_entropy(net(context.inputs, "a"), labels, reduction="none")
    torch.testing.assert_close(loss, losses[sure > threshold].sum() / 6)
    assert loss > 0


def test_nothing_is_learned_before_the_warm_up_is_over():
    net = network()
    made = term(threshold=0.0, warm_up=0.5)
    early = made(context_of(net, step=4))
    early.backward()
    assert early == 0
    assert all(float(p.grad.abs().sum()) == 0 for p in net.backbone.parameters())
    assert made(context_of(net, step=5)) > 0


def test_the_teacher_is_the_average_by_hand():
    net = network()
    made = term(average=0.75, threshold=0.0)
    before = net.backbone.weight.detach().clone()
    made(context_of(net, step=50))
    with torch.no_grad():
        net.backbone.weight += 4.0
    made(context_of(net, step=51))
    torch.testing.assert_close(made.state()["backbone.weight"], before + 1.0)
    # In the first steps the past counts less: 1 / 10 at step 0.
    young = term(average=0.75, threshold=0.0)
    young(context_of(net, step=0))
    with torch.no_grad():
        net.backbone.weight += 1.0
    young(context_of(net, step=0))
    torch.testing.assert_close(young.state()["backbone.weight"], net.backbone.weight - 0.1)


def test_the_teacher_gets_no_gradient_and_a_state_restores_it():
    net = network()
    made = term(threshold=0.0)
    for step in (5, 6):
        made(context_of(net, step)).backward()
        with torch.no_grad():
            net.backbone.weight.mul_(1.5)
    kept = {name: tensor.clone() for name, tensor in made.state().items()}
    other = term(threshold=0.0)
    other.load(kept)
    assert other.state().keys() == kept.keys()
    first, second = made(context_of(net, 7)), other(context_of(net, 7))
    assert torch.equal(first, second)
    assert all(torch.equal(made.state()[name], other.state()[name]) for name in kept)
    assert all(not tensor.requires_grad for tensor in made.state().values())


@pytest.mark.parametrize("options", [{"threshold": 1.0}, {"average": 1.0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="self_labels needs"):
        term(**options)
