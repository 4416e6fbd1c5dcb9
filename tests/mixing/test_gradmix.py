"""GradMix on a small network: what it writes to .grad, what it returns, and how it fails."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gradmix.mixing.finite import NonFiniteGradientError
from gradmix.mixing.gradmix import GradMix
from gradmix.mixing.layers import layers_of


class Net(nn.Module):
    """Two shared layers, two heads."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh())
        self.heads = nn.ModuleDict({"a": nn.Linear(4, 3), "b": nn.Linear(4, 2)})
        self.to(dtype)

    def forward(self, x, head):
        return self.heads[head](self.backbone(x))


def batch(seed, classes, n=8, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 6, generator=generator).to(dtype)
    return x, torch.randint(0, classes, (n,), generator=generator)


def losses(net, part=slice(None), scale=1.0, dtype=torch.float64):
    result = []
    for seed, head, classes in ((1, "a", 3), (2, "b", 2), (3, "a", 3)):
        x, y = batch(seed, classes, dtype=dtype)
        result.append(scale * cross_entropy(net(x[part], head), y[part]))
    return result[:2], result[2]


def layer_gradients(net, loss):
    return [
        torch.cat(
            [g.flatten() for g in torch.autograd.grad(loss, layer.parameters, retain_graph=True)]
        )
        for layer in layers_of(net.backbone)
    ]


def grads_of(module):
    return torch.cat([p.grad.flatten() for p in module.parameters()])


def test_writes_the_weighted_sum_per_layer_and_reports_its_cosine():
    net = Net()
    sources, target = losses(net)
    expected = [layer_gradients(net, loss) for loss in (*sources, target)]
    step = GradMix(layers_of(net.backbone), rho="sum").backward(sources, target)
    assert torch.allclose(step.weights_LK.sum(dim=1), torch.ones(2).double())
    for index, layer in enumerate(layers_of(net.backbone)):
        g1, g2, v = (gradients[index] for gradients in expected)
        w1, w2 = step.weights_LK[index]
        mixed = torch.cat([p.grad.flatten() for p in layer.parameters])
        torch.testing.assert_close(mixed, w1 * g1 + w2 * g2, rtol=1e-12, atol=1e-14)
        cosine = torch.dot(mixed, v) / (mixed.norm() * v.norm())
        torch.testing.assert_close(step.cosines_L[index], cosine, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(step.rho, step.cosines_L.sum())
    torch.testing.assert_close(step.eta, torch.sigmoid(10 * step.rho - 0.6))


@pytest.mark.parametrize("last_layer", ["H0", "H1", "H2"])
def test_heads_get_their_sources_gradient_and_under_h1_the_targets_too(last_layer):
    net = Net()
    sources, target = losses(net)
    own = {
        head: torch.cat(
            [
                g.flatten()
                for g in torch.autograd.grad(loss, net.heads[head].parameters(), retain_graph=True)
            ]
        )
        for head, loss in (("a", sources[0]), ("b", sources[1]))
    }
    guide = torch.autograd.grad(target, net.heads["a"].parameters(), retain_graph=True)
    guide = torch.cat([g.flatten() for g in guide])
    GradMix(layers_of(net.backbone), last_layer=last_layer).backward(sources, target)
    torch.testing.assert_close(grads_of(net.heads["b"]), own["b"])
    extra = guide if last_layer == "H1" else 0.0
    torch.testing.assert_close(grads_of(net.heads["a"]), own["a"] + extra)


def test_a_head_shared_by_two_sources_is_mixed_by_the_same_rule():
    net = Net()
    x, y = batch(1, 3)
    x2, y2 = batch(7, 3)
    xt, yt = batch(3, 3)
    mixer = GradMix(layers_of(net.backbone))
    step = mixer.backward(
        [cross_entropy(net(x, "a"), y), cross_entropy(net(x2, "a"), y2)],
        cross_entropy(net(xt, "a"), yt),
    )
    assert step.head_weights_HK.shape == (1, 2)
    torch.testing.assert_close(step.head_weights_HK.sum(), torch.tensor(1.0).double())
    assert net.heads["b"].weight.grad is None


def test_heads_given_or_found_make_no_difference():
    gradients = []
    for given in (False, True):
        net = Net()
        heads = (
            [layer for head in net.heads.values() for layer in layers_of(head)] if given else None
        )
        GradMix(layers_of(net.backbone), heads=heads).backward(*losses(net))
        gradients.append(grads_of(net))
    assert torch.equal(*gradients)


def test_the_target_head_of_no_source_stays_untrained_unless_h1():
    for last_layer in ("H2", "H1"):
        net = Net()
        x, y = batch(1, 3)
        xt, yt = batch(2, 2)
        GradMix(layers_of(net.backbone), last_layer=last_layer).backward(
            [cross_entropy(net(x, "a"), y)], cross_entropy(net(xt, "b"), yt)
        )
        assert (net.heads["b"].weight.grad is not None) == (last_layer == "H1")


def test_eta_on_grad_scales_the_shared_gradients_only():
    plain, scaled = Net(), Net()
    GradMix(layers_of(plain.backbone)).backward(*losses(plain))
    step = GradMix(layers_of(scaled.backbone), eta_on="grad").backward(*losses(scaled))
    torch.testing.assert_close(grads_of(scaled.backbone), step.eta * grads_of(plain.backbone))
    assert torch.equal(grads_of(scaled.heads), grads_of(plain.heads))


@pytest.mark.parametrize(
    "make",
    [
        lambda p, lr: torch.optim.SGD(p, lr=lr),
        lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9, nesterov=True),
        lambda p, lr: torch.optim.AdamW(p, lr=lr, weight_decay=0.1),
        lambda p, lr: torch.optim.RMSprop(p, lr=lr),
    ],
)
def test_step_multiplies_the_learning_rate_by_eta_for_any_optimizer(make):
    ours, reference = Net(), Net()
    mixer, check = GradMix(layers_of(ours.backbone)), GradMix(layers_of(reference.backbone))
    first, second = make(ours.parameters(), 0.1), make(reference.parameters(), 0.1)
    for _ in range(3):
        first.zero_grad()
        second.zero_grad()
        mixer.backward(*losses(ours))
        mixer.step(first)
        step = check.backward(*losses(reference))
        second.param_groups[0]["lr"] = 0.1 * step.eta.item()
        second.step()
        check.reset()  # the rate has it
    for p, q in zip(ours.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-12)


def test_eta_on_lr_can_leave_the_heads_alone():
    net, plain = Net(), Net()
    mixer = GradMix(layers_of(net.backbone), eta_on_heads=False)
    mixer.backward(*losses(net))
    mixer.step(torch.optim.SGD(net.parameters(), lr=0.1))
    GradMix(layers_of(plain.backbone)).backward(*losses(plain))
    torch.optim.SGD(plain.parameters(), lr=0.1).step()
    assert torch.equal(net.heads["a"].weight, plain.heads["a"].weight)
    assert not torch.equal(net.backbone[0].weight, plain.backbone[0].weight)


def test_without_the_adaptive_rate_eta_is_one():
    net = Net()
    assert GradMix(layers_of(net.backbone), adaptive_rate=False).backward(*losses(net)).eta == 1


def test_eta_grows_with_rho_and_is_half_at_zero():
    net = Net()
    mixer = GradMix(layers_of(net.backbone), beta=1e-12, gamma=0.0)
    assert abs(float(mixer.backward(*losses(net)).eta) - 0.5) < 1e-9
    etas = [float(torch.sigmoid(torch.tensor(10 * rho - 0.6))) for rho in (-1, 0, 0.06, 1)]
    assert etas == sorted(etas)
    assert etas[2] == pytest.approx(0.5)


def test_scaled_rho_is_the_sum_times_five_over_layers():
    net = Net()
    total = GradMix(layers_of(net.backbone), rho="sum").backward(*losses(net)).rho
    scaled = GradMix(layers_of(net.backbone)).backward(*losses(net)).rho
    torch.testing.assert_close(scaled, total * 5 / 2)


def test_accumulated_parts_equal_the_whole_batch():
    whole, parts = Net(), Net()
    GradMix(layers_of(whole.backbone)).backward(*losses(whole))
    mixer = GradMix(layers_of(parts.backbone))
    mixer.accumulate(*losses(parts, slice(0, 4), 0.5))
    mixer.backward(*losses(parts, slice(4, 8), 0.5))
    torch.testing.assert_close(grads_of(parts), grads_of(whole), rtol=1e-10, atol=1e-13)


def test_backward_adds_to_grad_as_torch_does():
    once, twice = Net(), Net()
    GradMix(layers_of(once.backbone)).backward(*losses(once))
    mixer = GradMix(layers_of(twice.backbone))
    mixer.backward(*losses(twice))
    mixer.backward(*losses(twice))
    torch.testing.assert_close(grads_of(twice), 2 * grads_of(once))


@pytest.mark.parametrize("autocast", [False, True])
def test_float32_and_autocast(autocast):
    net = Net(torch.float32)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        step = GradMix(layers_of(net.backbone)).backward(*losses(net, dtype=torch.float32))
    assert net.backbone[0].weight.grad.dtype == torch.float32
    assert step.weights_LK.dtype == torch.float64
    assert grads_of(net).isfinite().all()


def test_all_bfloat16_network():
    net = Net(torch.bfloat16)
    GradMix(layers_of(net.backbone)).backward(*losses(net, dtype=torch.bfloat16))
    assert net.backbone[0].weight.grad.dtype == torch.bfloat16


def test_parameters_that_a_loss_does_not_reach():
    net = Net()
    x, y = batch(1, 3)
    xt, yt = batch(3, 3)

    def skip(inputs, head):  # does not use the first shared layer
        return net.heads[head](torch.tanh(net.backbone[2](inputs[:, :5])))

    step = GradMix(layers_of(net.backbone)).backward(
        [cross_entropy(skip(x, "a"), y), cross_entropy(net(x, "a"), y)],
        cross_entropy(net(xt, "a"), yt),
    )
    assert step.weights_LK[0].tolist() == [0.0, 1.0]
    # No source reaches the first layer at all: no update, no contribution to rho.
    net.zero_grad()
    step = GradMix(layers_of(net.backbone)).backward(
        [cross_entropy(skip(x, "a"), y)], cross_entropy(net(xt, "a"), yt)
    )
    assert net.backbone[0].weight.grad is None
    assert step.cosines_L[0] == 0


def test_parameters_frozen_after_grouping():
    net = Net()
    mixer = GradMix(layers_of(net.backbone))
    net.backbone[0].requires_grad_(False)
    step = mixer.backward(*losses(net))
    assert net.backbone[0].weight.grad is None
    assert step.cosines_L[0] == 0
    assert step.cosines_L[1] != 0


def test_nan_names_step_source_and_layer_and_writes_nothing():
    net = Net()
    mixer = GradMix(layers_of(net.backbone), source_names=["svhn", "mnist"])
    mixer.backward(*losses(net))
    net.zero_grad()
    (first, second), target = losses(net)
    bad = second * torch.tensor(math.nan)
    with pytest.raises(
        NonFiniteGradientError, match="step 1: the gradient of mnist is NaN"
    ) as caught:
        mixer.backward([first, bad], target)
    assert (caught.value.step, caught.value.source) == (1, "mnist")
    assert all(p.grad is None for p in net.parameters())


def test_slsqp_option_finds_no_better_cosine():
    exact, layerwise = Net(), Net()
    best = GradMix(layers_of(exact.backbone)).backward(*losses(exact))
    other = GradMix(layers_of(layerwise.backbone), solver="slsqp_layerwise").backward(
        *losses(layerwise)
    )
    assert (best.cosines_L >= other.cosines_L - 1e-9).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": -1.0}, "beta must be positive, but got -1.0"),
        ({"solver": "cobyla"}, "solver must be"),
        ({"eta_on": "loss"}, "eta_on must be"),
        ({"last_layer": "H3"}, "last_layer must be"),
        ({"rho": "max"}, "rho must be"),
    ],
)
def test_option_errors(options, message):
    with pytest.raises(ValueError, match=message):
        GradMix(layers_of(Net().backbone), **options)


def test_call_errors():
    net = Net()
    sources, target = losses(net)
    mixer = GradMix(layers_of(net.backbone))
    with pytest.raises(ValueError, match="at least one source"):
        mixer.backward([], target)
    with pytest.raises(ValueError, match="loss of source 0 must be a scalar"):
        mixer.backward([torch.stack(sources)], target)
    with pytest.raises(ValueError, match="loss of source 0 depends on no trainable"):
        mixer.backward([torch.zeros(())], target)
    with pytest.raises(ValueError, match="needs a backward"):
        mixer.step(torch.optim.SGD(net.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="empty"):
        GradMix([])
    with pytest.raises(ValueError, match="share a parameter"):
        GradMix([*layers_of(net.backbone), *layers_of(net.backbone)])


def test_fused_optimizers_on_channels_last_networks():
    def network():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 3)).to(
            memory_format=torch.channels_last
        )

    x, y = torch.randn(6, 3, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2])
    weights = []
    for fused in (False, True):
        net = network()
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01, fused=fused)
        mixer = GradMix(layers_of(net), adaptive_rate=False)
        mixer.backward([cross_entropy(net(x), y)], cross_entropy(net(x), y))
        mixer.step(optimizer)
        weights.append(net[0].weight.detach())
    torch.testing.assert_close(*weights, rtol=0, atol=1e-6)


def test_a_step_that_is_not_finite_changes_no_parameter_while_the_check_is_on_its_way():
    net = Net()
    before = [p.detach().clone() for p in net.parameters()]
    mixer = GradMix(layers_of(net.backbone))
    mixer._check.submit = lambda *arguments: None  # as on a GPU, where the flags arrive later
    mixer.weigh = lambda stats: torch.full((len(stats.mask_LK), 2), math.nan).double()
    (first, second), target = losses(net)
    mixer.backward([first, second * math.nan], target)
    mixer.step(torch.optim.SGD(net.parameters(), lr=0.1))
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))


def test_a_function_that_gives_a_parameter_no_gradient():
    class Ignores(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad, None

    net = Net()
    x, y = batch(1, 3)
    loss = cross_entropy(net.heads["a"](Ignores.apply(net.backbone(x), net.heads["b"].weight)), y)
    GradMix(layers_of(net.backbone)).backward([loss], losses(net)[1])
    assert net.heads["b"].weight.grad is None
    assert net.backbone[0].weight.grad is not None


def test_accumulated_losses_reach_the_mixer():
    net = Net()
    mixer = GradMix(layers_of(net.backbone))
    seen = []
    weigh = mixer.weigh
    mixer.weigh = lambda stats: seen.append(stats.losses_K) or weigh(stats)
    mixer.accumulate(*losses(net))
    mixer.backward(*losses(net))
    expected = 2 * torch.stack(losses(net)[0]).detach()
    torch.testing.assert_close(seen[0], expected)
