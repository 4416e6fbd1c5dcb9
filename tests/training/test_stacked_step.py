"""A step of several models at once is each model's own step: weights, statistics and momentum, in float64."""

import copy
import sys

import pytest
import torch
from torch.nn import functional

from gradmix.mixing.fixed_weights import FixedWeights
from gradmix.mixing.gradmix import GradMix
from gradmix.mixing.gram import LayerStatistics
from gradmix.mixing.layers import Layer, layers_of
from gradmix.mixing.mean import Mean
from gradmix.mixing.meta_gradient import MetaGradient
from gradmix.mixing.sum import Sum
from gradmix.nets.convnet import ConvNet
from gradmix.nets.resnet18 import ResNet18
from gradmix.training.sgd import SGD
from gradmix.training.stacked_network import StackedNetwork

STREAMS = ("a", "b", "a", "a")  # label spaces of three sources and of the target
MODELS = [(10.0, 0.6, 0.05), (5.0, 0.0, 0.02), (2.0, 0.3, 0.01)]  # beta, gamma, learning rate


def network(seed, kind=ConvNet):
    torch.manual_seed(seed)
    if kind is ResNet18:
        return ResNet18({"a": 2, "b": 3}, image_size=(32, 32)).double()
    return ConvNet({"a": 2, "b": 3}, image_size=(8, 8), width=4, hidden=6).double()


def batch(step, model, size=8):
    """Other images for every step and model."""
    generator = torch.Generator().manual_seed(100 * step + model)
    images = torch.rand(len(STREAMS), 6, 3, size, size, generator=generator, dtype=torch.float64)
    return 2 * images - 1, torch.randint(0, 2, (len(STREAMS), 6), generator=generator)


def mixer_of(net, kind, model, options):
    heads = [Layer(name, tuple(net.heads.parameters_of(name))) for name in ("a", "b")]
    options = {"heads": heads, "source_names": ["1", "2", "3"], **options}
    if kind is GradMix:
        beta, gamma, _ = MODELS[model]
        return GradMix(layers_of(net.backbone), beta=beta, gamma=gamma, **options)
    if kind is MetaGradient:
        return MetaGradient(layers_of(net.backbone), **options)
    return FixedWeights(weights=[1.0, 0.5, 2.0]) if kind is FixedWeights else kind()


def sgd(net, model, weight_decay):
    return SGD(net.parameters(), lr=MODELS[model][2], momentum=0.9, weight_decay=weight_decay)


def each_alone(kind, options, steps, weight_decay=0.0, net_kind=ConvNet):
    reports, nets = [], [network(seed, net_kind) for seed in range(len(MODELS))]
    for model, net in enumerate(nets):
        mixer, optimizer = mixer_of(net, kind, model, options), sgd(net, model, weight_decay)
        for step in range(steps):
            images, labels = batch(step, model, net.image_size[0])
            losses = [
                functional.cross_entropy(net(x, space), y)
                for x, y, space in zip(images, labels, STREAMS, strict=True)
            ]
            optimizer.zero_grad()
            guide = losses[-1:] if mixer.layers else []
            reports.append(mixer.backward(losses[:3], *guide))
            mixer.step(optimizer)
    return nets, reports[steps - 1 :: steps]


def all_together(kind, options, steps, weight_decay=0.0, net_kind=ConvNet):
    nets = [network(seed, net_kind) for seed in range(len(MODELS))]
    mixers = [mixer_of(net, kind, model, options) for model, net in enumerate(nets)]
    stacked = StackedNetwork(nets)
    optimizers = [sgd(net, model, weight_decay) for model, net in enumerate(nets)]
    mixer = mixers[0].stack(mixers, stacked.of_first)
    optimizer = SGD.stack(optimizers, stacked.parameters)

    def losses_of(net, images, labels):
        return [
            functional.cross_entropy(net(x, space), y)
            for x, y, space in zip(images, labels, STREAMS, strict=True)
        ]

    for step in range(steps):
        batches = [batch(step, model, nets[0].image_size[0]) for model in range(len(MODELS))]
        losses = stacked.each(
            losses_of, *(torch.stack(each) for each in zip(*batches, strict=True))
        )
        optimizer.zero_grad()
        guide = losses[-1:] if mixer.layers else []
        mixed = mixer.backward(losses[:3], *guide)
        mixer.step(optimizer)
    return nets, mixed, optimizers


def compare(alone, together, tolerance=1e-9):
    for one, other in zip(alone, together, strict=True):
        state = other.state_dict()
        for name, tensor in one.state_dict().items():
            torch.testing.assert_close(state[name], tensor, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (GradMix, {}),
        (GradMix, {"last_layer": "H1"}),
        (GradMix, {"eta_on": "grad"}),
        (GradMix, {"eta_on": "grad", "eta_on_heads": True, "last_layer": "H1"}),
        (GradMix, {"eta_on_heads": False, "rho": "scaled"}),
        (GradMix, {"adaptive_rate": False, "rho": "mean"}),
        (MetaGradient, {}),
        (Sum, {}),
        (Mean, {}),
        (FixedWeights, {}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "-".join(map(str, value)),
)
def test_many_steps_of_stacked_models_are_those_of_each(kind, options):
    alone, reports = each_alone(kind, options, steps=20)
    together, mixed, _ = all_together(kind, options, steps=20)
    compare(alone, together)
    assert any(
        not torch.equal(a, b)
        for a, b in zip(alone[0].parameters(), network(0).parameters(), strict=True)
    )
    for model, report in enumerate(reports):
        for name in ("rho", "eta", "weights_LK", "cosines_L", "head_weights_HK", "source_norms_LK"):
            own = getattr(mixed, name)[model]
            torch.testing.assert_close(
                own, getattr(report, name), rtol=1e-7, atol=1e-9, equal_nan=True
            )


def test_weight_decay_and_the_models_own_momentum_buffers():
    alone, _ = each_alone(GradMix, {}, steps=5, weight_decay=0.01)
    together, _, optimizers = all_together(GradMix, {}, steps=5, weight_decay=0.01)
    compare(alone, together)
    plain, _ = each_alone(GradMix, {}, steps=5)
    with pytest.raises(AssertionError):
        compare(plain, together)
    assert optimizers[1].buffers[0].shape == next(together[1].parameters()).shape


def test_a_resnet(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "MODELS", MODELS[:2])
    alone, _ = each_alone(GradMix, {}, steps=1, net_kind=ResNet18)
    together, _, _ = all_together(GradMix, {}, steps=1, net_kind=ResNet18)
    compare(alone, together)


def test_a_model_that_is_not_finite_disturbs_no_other():
    nets = [network(seed) for seed in range(3)]
    mixers = [mixer_of(net, GradMix, model, {}) for model, net in enumerate(nets)]
    before = [copy.deepcopy(net.state_dict()) for net in nets]
    stacked = StackedNetwork(nets)
    mixer = mixers[0].stack(mixers, stacked.of_first)
    images, labels = batch(0, 0)

    def losses_of(net, factor):
        losses = [
            functional.cross_entropy(net(x, space), y)
            for x, y, space in zip(images, labels, STREAMS, strict=True)
        ]
        return [losses[0], losses[1] * factor, losses[2], losses[3]]

    factor = torch.tensor([1.0, torch.nan, 1.0], dtype=torch.float64)
    *sources, target = stacked.each(losses_of, factor)
    step = mixer.backward(sources, target)
    mixer.step(SGD.stack([sgd(net, 0, 0.0) for net in nets], stacked.parameters))
    assert step.finite.flatten(1).all(dim=1).tolist() == [True, False, True]
    assert step.eta[1] == 0
    assert step.eta[0] > 0
    for index in range(3):
        same = [torch.equal(p, before[index][n]) for n, p in nets[index].named_parameters()]
        assert all(same) == (index == 1)
    fault = step.fault(7, step.finite[1])
    assert fault == "step 7: the gradient of 2 is NaN or infinite in layer b"
    assert step.fault(7, step.finite[0]) is None


def problem(generator, layers, sources, scale):
    rows = torch.randn(layers, sources + 1, 6, generator=generator, dtype=torch.float64)
    rows *= 10 ** (scale * torch.randn(layers, sources + 1, 1, generator=generator))
    rows[0, 0] = 0  # a source without a gradient
    rows[1, 1] = -rows[1, -1]  # one that opposes the target
    rows[2, 0] = 3 * rows[2, 1]  # dependent ones
    return rows @ rows.mT


@pytest.mark.parametrize("sources", [2, 3, 9])
@pytest.mark.parametrize("scale", [0.0, 3.0])
@pytest.mark.parametrize("kind", [GradMix, MetaGradient])
def test_one_solve_for_all_models_is_each_models_solve(kind, scale, sources):
    generator = torch.Generator().manual_seed(sources)
    net = network(0)
    mixers = [mixer_of(net, kind, model, {}) for model in range(3)]
    grams = [problem(generator, 7, sources, scale) for _ in mixers]
    mask_LK = torch.ones(7, sources, dtype=torch.bool)
    mask_LK[6, 0] = False

    def statistics(gram):
        return LayerStatistics(
            gram_LKK=gram[..., :-1, :-1],
            target_LK=gram[..., :-1, -1],
            target_norm_L=gram[..., -1, -1].sqrt(),
            mask_LK=mask_LK,
            losses_K=torch.zeros(sources),
            shared=5,
        )

    stacked = {p: p[None] for p in net.parameters()}
    together = mixers[0].stack(mixers, stacked).weigh(statistics(torch.stack(grams)))
    for model, (mixer, gram) in enumerate(zip(mixers, grams, strict=True)):
        own = mixer.weigh(statistics(gram))
        torch.testing.assert_close(together[model], own, rtol=1e-9, atol=1e-12)
