"""Entropy, gradient reversal and minimax entropy against closed forms and finite differences."""

import math
from importlib import import_module

import pytest
import torch
from term_contexts import TinyNet, assert_gradient, contexts_of

from gradmix.terms.entropy import mean_entropy
from gradmix.terms.gradient_reversal import reverse_gradient
from gradmix.terms.registry import term_part


def make(name, **options):
    part = term_part(name)
    module = import_module(f"gradmix.terms.{name}")
    return module.make({**part.options, **options})


@pytest.fixture
def network():
    torch.manual_seed(0)
    return TinyNet()


@pytest.fixture
def unlabelled():
    return {"U": (6, "a", "target")}


def test_uniform_is_log_c_and_one_hot_is_zero():
    for classes in (2, 5):
        torch.testing.assert_close(
            mean_entropy(torch.full((3, classes), 7.0)), torch.tensor(math.log(classes))
        )
    sure = torch.tensor([[1e4, 0.0, 0.0], [0.0, -1e4, 1e4]])
    assert mean_entropy(sure) == 0


def test_known_probabilities_and_the_mean_over_images():
    probabilities = torch.tensor([[0.5, 0.25, 0.25], [0.8, 0.1, 0.1]])
    expected = (1.5 * math.log(2) - 0.8 * math.log(0.8) - 0.2 * math.log(0.1)) / 2
    assert float(mean_entropy(probabilities.log() + 3)) == pytest.approx(expected, rel=1e-6)


def test_its_gradient_is_the_finite_difference_and_finite_for_sure_predictions():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mean_entropy, logits)
    sure = torch.tensor([[1e4, 0.0, 0.0]], requires_grad=True)
    mean_entropy(sure).backward()
    assert (sure.grad == 0).all()


def test_the_term_is_the_weighted_entropy_of_the_target_s_head(network, unlabelled):
    context = contexts_of(network, unlabelled)["U"]
    p = torch.softmax(network(context.inputs, "a"), dim=1)
    expected = -(p * p.log()).sum() / 6
    torch.testing.assert_close(make("entropy", weight=0.3)(context), 0.3 * expected)
    assert make("entropy").weight == make("minimax_entropy").weight == 0.1


@pytest.mark.parametrize("coefficient", [1.0, 0.25])
def test_gradient_reversal_passes_values_and_turns_gradients(coefficient):
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = reverse_gradient(x, coefficient)
    assert torch.equal(y, x)
    (y**2).sum().backward()
    assert torch.equal(x.grad, -coefficient * 2 * x.detach())


def test_minimax_the_head_raises_the_entropy_and_the_features_lower_it(network, unlabelled):
    """Against differences of the entropy itself: its gradient for the features, minus it for the head."""
    weight = 0.5
    make("minimax_entropy", weight=weight)(contexts_of(network, unlabelled)["U"]).backward()

    def entropy():
        with torch.no_grad():
            return weight * mean_entropy(contexts_of(network, unlabelled)["U"].logits_BC)

    for parameter in network.backbone.parameters():
        assert_gradient(entropy, parameter, parameter.grad)
    for parameter in network.heads["a"].parameters():
        assert_gradient(entropy, parameter, -parameter.grad)
    assert all(parameter.grad is None for parameter in network.heads["b"].parameters())

    # A small step down the loss, of one part at a time.
    before = entropy()
    for part, sign in ((network.heads["a"], 1), (network.backbone, -1)):
        with torch.no_grad():
            for parameter in part.parameters():
                parameter -= 0.1 * parameter.grad
            assert sign * (entropy() - before) > 0
            for parameter in part.parameters():
                parameter += 0.1 * parameter.grad
