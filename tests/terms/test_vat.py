"""VAT against the closed form of a linear softmax model, finite differences, and batch normalisation as it was."""

from contextlib import nullcontext

import pytest
import torch
from term_contexts import TinyNet, assert_gradient, contexts_of
from torch import nn

from gradmix.nets.convnet import ConvNet
from gradmix.terms.context import Context
from gradmix.terms.registry import TERMS
from gradmix.terms.vat import make


def term(**options):
    return make({**TERMS["vat"].options, **options})


class Linear(nn.Module):
    """Logits W x, in double precision."""

    def __init__(self, pixels, classes, scale=1.0):
        super().__init__()
        self.weight_CP = nn.Parameter(scale * torch.randn(classes, pixels, dtype=torch.float64))

    def features(self, images, domain=None):
        return images.flatten(1)

    def classify(self, features, label_space, domain=None):
        return features @ self.weight_CP.T

    def forward(self, images, label_space, domain=None):
        return self.classify(self.features(images), label_space)


class Double(Context):
    """A context that does not round logits to float32, so that differences of small steps are exact enough."""

    @property
    def logits_BC(self):  # noqa: N802
        return self.network(self.inputs, self.label_space)

    def extra_logits(self, inputs):
        return self.network(inputs, self.label_space)


def context_of(network, inputs, kind=Context):
    streams = {}
    streams["U"] = kind(
        network,
        inputs,
        torch.full((len(inputs),), -1),
        "a",
        "target",
        step=0,
        steps=10,
        streams=streams,
        autocast=nullcontext(),
    )
    return streams["U"]


def hessians(network, inputs):
    """Of KL(p(x) || p(x + r)) at r = 0, per image: W^T (diag p - p p^T) W."""
    weight = network.weight_CP.detach()
    probabilities = torch.softmax(inputs.flatten(1) @ weight.T, dim=1)
    return [weight.T @ (torch.diag(p) - torch.outer(p, p)) @ weight for p in probabilities]


@pytest.fixture
def linear():
    torch.manual_seed(3)
    network = Linear(6, 3, scale=0.5)
    return network, torch.randn(5, 1, 2, 3, dtype=torch.float64)


def test_many_iterations_find_the_top_eigenvector_of_the_kl_s_hessian(linear):
    network, inputs = linear
    context = context_of(network, inputs, Double)
    directions = term(xi=1e-4, iterations=200).direction(context, context.logits_BC.detach())
    for one, hessian in zip(directions.flatten(1), hessians(network, inputs), strict=True):
        values, vectors = torch.linalg.eigh(hessian)
        assert values[-1] > 1.05 * values[-2]  # else there is no one direction to find
        assert float(torch.abs(one @ vectors[:, -1])) == pytest.approx(1, abs=1e-5)


def test_one_iteration_is_the_hessian_times_the_random_start(linear):
    network, inputs = linear
    context = context_of(network, inputs, Double)
    torch.manual_seed(7)
    start = torch.randn_like(inputs).flatten(1)
    torch.manual_seed(7)
    directions = term(xi=1e-4).direction(context, context.logits_BC.detach()).flatten(1)
    for one, first, hessian in zip(directions, start, hessians(network, inputs), strict=True):
        expected = hessian @ first
        torch.testing.assert_close(one, expected / expected.norm(), rtol=1e-3, atol=1e-4)


def test_default_probe_is_good_enough_in_float32(linear):
    network, inputs = linear
    context = context_of(network.float(), inputs.float())
    torch.manual_seed(7)
    start = torch.randn_like(context.inputs).flatten(1)
    torch.manual_seed(7)
    directions = term().direction(context, context.logits_BC.detach()).flatten(1)
    for one, first, hessian in zip(
        directions, start, hessians(network, inputs.float()), strict=True
    ):
        expected = hessian @ first
        assert float(one @ expected / expected.norm()) > 0.99


def test_the_loss_is_the_kl_at_a_perturbation_of_length_epsilon(linear):
    network, inputs = linear
    seen = []

    class Watched(Double):
        def extra_logits(self, inputs):
            seen.append(inputs.detach())
            return super().extra_logits(inputs)

    loss = term(epsilon=1.7, weight=0.5)(context_of(network, inputs, Watched))
    probed, perturbed = ((images - inputs).flatten(1) for images in seen)
    torch.testing.assert_close(probed.norm(dim=1), torch.full((5,), 0.01, dtype=torch.float64))
    torch.testing.assert_close(perturbed.norm(dim=1), torch.full((5,), 1.7, dtype=torch.float64))
    p, q = (torch.softmax(network(x, "a"), dim=1) for x in (inputs, seen[-1]))
    torch.testing.assert_close(loss, 0.5 * (p * (p / q).log()).sum() / 5)


def test_it_hurts_more_than_a_random_perturbation_and_is_never_negative():
    torch.manual_seed(0)
    network = TinyNet()
    context = contexts_of(network, {"U": (6, "a", "target")})["U"]
    clean = context.logits_BC.detach()
    p = clean.softmax(dim=1)
    adversarial = float(term(epsilon=0.3, iterations=3)(context).detach())
    for _ in range(20):
        random = torch.randn_like(context.inputs)
        random = 0.3 * random / random.flatten(1).norm(dim=1)[:, None, None, None]
        q = context.extra_logits(context.inputs + random).softmax(dim=1)
        assert 0 <= float((p * (p / q).log()).sum().detach() / 6) < adversarial


def test_sure_predictions_whose_gradient_underflows_give_no_nan():
    torch.manual_seed(0)
    network = Linear(4, 3, scale=300.0).float()
    context = context_of(network, torch.randn(4, 1, 2, 2))
    loss = term()(context)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(network.weight_CP.grad).all()


def test_its_gradient_at_a_fixed_perturbation_is_the_finite_difference():
    """The clean prediction is a constant: it enters the difference as it was at the start."""
    torch.manual_seed(0)
    network = TinyNet()
    context = contexts_of(network, {"U": (6, "a", "target")})["U"]
    vat = term(epsilon=1.5, weight=2.0)
    clean = context.logits_BC.detach().softmax(dim=1)
    torch.manual_seed(5)
    direction = vat.direction(context, context.logits_BC.detach())
    torch.manual_seed(5)
    vat(context).backward()

    @torch.no_grad()
    def loss():
        log_q = network(context.inputs + 1.5 * direction, "a").log_softmax(dim=1)
        return 2.0 * (clean * (clean.log() - log_q)).sum() / 6

    for parameter in (network.backbone.weight, network.heads["a"].weight, network.heads["a"].bias):
        assert_gradient(loss, parameter, parameter.grad)
    assert network.heads["b"].weight.grad is None


def test_finding_the_perturbation_leaves_gradients_alone():
    torch.manual_seed(0)
    network = TinyNet()
    context = contexts_of(network, {"U": (6, "a", "target")})["U"]
    vat = term(iterations=2)
    direction = vat.direction(context, context.logits_BC.detach())
    assert not direction.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())
    network.backbone.weight.grad = torch.full_like(network.backbone.weight, 3.0)
    vat(context)
    assert (network.backbone.weight.grad == 3).all()


@pytest.mark.parametrize("statistics", ["shared", "per_domain"])
def test_running_statistics_follow_the_plain_pass_alone(statistics):
    torch.manual_seed(0)
    options = {"image_size": (8, 8), "width": 4, "hidden": 6}
    network = ConvNet({"a": 3}, norm_statistics=statistics, domains=["target"], **options).train()
    context = context_of(network, torch.randn(6, 3, 8, 8))
    fresh = {name: buffer.clone() for name, buffer in network.named_buffers()}
    _ = context.logits_BC
    plain = {name: buffer.clone() for name, buffer in network.named_buffers()}
    assert any(not torch.equal(plain[name], fresh[name]) for name in plain)
    term(iterations=2)(context).backward()
    assert plain
    assert all(torch.equal(buffer, plain[name]) for name, buffer in network.named_buffers())
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert all(norm.momentum == 0.1 for norm in norms)


@pytest.mark.parametrize(
    "wrong", [{"epsilon": 0.0}, {"xi": -1.0}, {"iterations": 0}, {"weight": -1.0}]
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="vat needs epsilon > 0"):
        term(**wrong)
