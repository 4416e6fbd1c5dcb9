"""One joint forward pass: the same training as separate passes, loss by loss, layer by layer."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.functional import cross_entropy

from gradmix import ConvNet, GradMix, GuidedSum, Sum, forward_together, layers_of
from gradmix.nets.resnet18 import ResNet18

SIZES = (6, 5, 3)
SPACES = ("a", "b", "a")
CLASSES = {"a": 5, "b": 4}


def images(sizes=SIZES, size=16, dtype=torch.float64):
    torch.manual_seed(1)
    return [torch.randn(n, 3, size, size, dtype=dtype) for n in sizes]


def labels(sizes=SIZES):
    torch.manual_seed(2)
    return [torch.randint(0, 4, (n,)) for n in sizes]


def convnet(dtype=torch.float64, **options):
    torch.manual_seed(0)
    return ConvNet(CLASSES, image_size=(16, 16), width=6, hidden=8, **options).to(dtype)


def resnet():
    torch.manual_seed(0)
    return ResNet18(CLASSES, image_size=(32, 32)).double()


def losses_of(net, outputs, targets):
    return [
        cross_entropy(net.classify(f, space), y)
        for f, space, y in zip(outputs, SPACES, targets, strict=True)
    ]


def pair(net, mixer_class, xs, targets, steps=1, **options):
    """The same network trained by separate and by joint passes."""
    other = copy.deepcopy(net)
    results = []
    for network, joint in ((net, False), (other, True)):
        mixer = mixer_class(layers_of(network.backbone), **options)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
        for _ in range(steps):
            if joint:
                outputs = forward_together(network.features, xs)
            else:
                outputs = [network.features(x) for x in xs]
            by_part = losses_of(network, outputs, targets)
            optimizer.zero_grad()
            step = mixer.backward(by_part[:-1], by_part[-1])
            mixer.step(optimizer)
        results.append((network, step))
    return results


def assert_same(results, tolerance=1e-9):
    (first, one), (second, two) = results
    torch.testing.assert_close(one.weights_LK, two.weights_LK, rtol=0, atol=tolerance)
    torch.testing.assert_close(one.rho, two.rho, rtol=0, atol=tolerance)
    torch.testing.assert_close(one.head_weights_HK, two.head_weights_HK, rtol=0, atol=tolerance)
    torch.testing.assert_close(one.source_norms_LK, two.source_norms_LK, rtol=tolerance, atol=0)
    for p, q in zip(first.parameters(), second.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=tolerance)
    for name, value in first.state_dict().items():
        torch.testing.assert_close(value, second.state_dict()[name], rtol=0, atol=tolerance)


@pytest.mark.parametrize("options", [{}, {"last_layer": "H1"}, {"eta_on": "grad"}])
def test_the_digit_network_trains_alike(options):
    assert_same(pair(convnet(), GradMix, images(), labels(), steps=5, **options))


def test_a_residual_network_trains_alike():
    assert_same(pair(resnet(), GradMix, images(size=32), labels(), steps=2), 1e-8)


def test_a_mixer_that_trains_the_target_as_well():
    assert_same(pair(convnet(), GuidedSum, images(), labels(), steps=4))


def test_float32_stays_within_its_round_off():
    net = convnet(torch.float32)
    results = pair(net, GradMix, images(dtype=torch.float32), labels(), steps=3)
    assert_same(results, 2e-4)


def test_bfloat16_forward_passes():
    net = convnet(torch.float32)
    other = copy.deepcopy(net)
    xs, targets = images(dtype=torch.float32), labels()
    with torch.autocast("cpu", torch.bfloat16):
        separate = [net.features(x) for x in xs]
        together = forward_together(other.features, xs)
    for a, b in zip(separate, together, strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=0, atol=0.02)
    for network, outputs in ((net, separate), (other, together)):
        by_part = losses_of(network, [o.float() for o in outputs], targets)
        GradMix(layers_of(network.backbone)).backward(by_part[:-1], by_part[-1])
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        assert q.grad.dtype == torch.float32
        scale = p.grad.abs().max().item()
        torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=0.05 * scale)


def wide():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(100, 300), nn.ReLU(inplace=True), nn.Linear(300, 200), nn.Tanh()
    ).double()


@pytest.mark.parametrize("owners", [(0, 1, 2), (0, 0, 1), (0, 1, None)])
def test_wide_layers_whose_gradients_are_never_made(owners, monkeypatch):
    """A loss of several parts, and a part that no loss uses."""
    from gradmix.mixing.joint import recording

    made = []
    rows = recording.FactorRows
    monkeypatch.setattr(recording, "FactorRows", lambda *a: made.append(rows(*a)) or made[-1])
    torch.manual_seed(3)
    xs = [torch.randn(n, 100).double() for n in SIZES]

    def losses(outputs):
        by_owner = {}
        for owner, out in zip(owners, outputs, strict=True):
            if owner is not None:
                by_owner[owner] = by_owner.get(owner, 0.0) + (out - owner - 1).square().mean()
        return [by_owner[key] for key in sorted(by_owner)]

    net = wide()
    other = copy.deepcopy(net)
    one = GradMix(layers_of(net)), losses([net(x) for x in xs])
    two = GradMix(layers_of(other)), losses(forward_together(other, xs))
    steps = [mixer.backward(by_part[:-1], by_part[-1]) for mixer, by_part in (one, two)]
    assert len(made) == 2, "both layers are wide enough"
    torch.testing.assert_close(steps[0].cosines_L, steps[1].cosines_L, rtol=0, atol=1e-12)
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-12)


def test_gradients_kept_as_factors_add_up_over_parts_of_a_batch():
    torch.manual_seed(3)
    xs = [torch.randn(n, 100).double() for n in SIZES]
    net = wide()
    other = copy.deepcopy(net)
    one, two = GradMix(layers_of(net)), GradMix(layers_of(other))
    for last in (False, True):
        for mixer, outputs in ((one, [net(x) for x in xs]), (two, forward_together(other, xs))):
            by_part = [(out - i).square().mean() for i, out in enumerate(outputs)]
            (mixer.backward if last else mixer.accumulate)(by_part[:-1], by_part[-1])
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-12)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(200, 200).double()

    def forward(self, x):
        return self.layer(torch.tanh(self.layer(x)))


def test_a_wide_layer_that_is_used_twice():
    net = Twice()
    other = copy.deepcopy(net)
    xs = [torch.randn(n, 200).double() for n in SIZES]
    for network, outputs in (
        (net, [net(x) for x in xs]),
        (other, forward_together(other, xs)),
    ):
        by_part = [(out - i).square().mean() for i, out in enumerate(outputs)]
        GradMix(layers_of(network)).backward(by_part[:-1], by_part[-1])
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-12)


class Mixed(nn.Module):
    """Layer, group and batch normalisation, a layer that is used twice, sequences, a frozen layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.frozen = nn.Conv2d(3, 4, 1).requires_grad_(False)
        self.conv = nn.Conv2d(4, 4, 3, padding="same", groups=2)
        self.group = nn.GroupNorm(2, 4)
        self.layer = nn.LayerNorm(8)
        self.twice = nn.Linear(8, 8)
        self.sequence = nn.Linear(8, 8, bias=False)
        self.batch = nn.BatchNorm1d(8)
        self.double()

    def forward(self, x):
        x = self.group(self.conv(self.conv(self.frozen(x)))).flatten(2)[:, :, :8]
        x = self.sequence(self.layer(x)).mean(dim=1)
        return self.batch(self.twice(torch.tanh(self.twice(x))))


@pytest.mark.parametrize("training", [True, False])
def test_every_operation_with_parameters(training):
    net = Mixed().train(training)
    other = copy.deepcopy(net)
    xs = images()
    for network, outputs in ((net, [net(x) for x in xs]), (other, forward_together(other, xs))):
        by_part = [(out - i).square().mean() for i, out in enumerate(outputs)]
        GradMix(layers_of(network)).backward(by_part[:-1], by_part[-1])
    assert other.frozen.weight.grad is None
    for (name, p), q in zip(net.named_parameters(), other.parameters(), strict=True):
        if p.requires_grad:
            torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-10, msg=name)
    for p, q in zip(net.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-12)


def test_a_plain_backward_pass_gives_the_gradient_of_the_sum():
    net = Mixed()
    other = copy.deepcopy(net)
    xs = images()
    torch.stack([net(x).square().mean() for x in xs]).sum().backward()
    Sum().backward([out.square().mean() for out in forward_together(other, xs)])
    for (name, p), q in zip(net.named_parameters(), other.parameters(), strict=True):
        if p.requires_grad:
            torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-10, msg=name)


def test_losses_that_share_a_part_are_back_propagated_one_after_another():
    net = convnet()
    other = copy.deepcopy(net)
    xs, targets = images(), labels()
    for network, outputs, retain in (
        (net, [net.features(x) for x in xs], True),
        (other, forward_together(other.features, xs), False),
    ):
        by_part = losses_of(network, outputs, targets)
        distance = (outputs[0].mean(dim=0) - outputs[1].mean(dim=0)).square().sum()
        mixer = GradMix(layers_of(network.backbone))
        mixer.backward([by_part[0], by_part[1] + distance], by_part[2], retain_graph=True)
        assert retain or mixer.steps == 1
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-10)


def test_a_loss_that_also_runs_the_network_by_itself():
    net = convnet()
    other = copy.deepcopy(net)
    xs, targets = images(), labels()
    for network, outputs in (
        (net, [net.features(x) for x in xs]),
        (other, forward_together(other.features, xs)),
    ):
        network.eval()
        by_part = losses_of(network, outputs, targets)
        by_part[0] = by_part[0] + network(xs[0].flip(-1), "a").square().mean()
        GradMix(layers_of(network.backbone)).backward(by_part[:-1], by_part[-1])
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-10)


def test_outputs_may_be_changed_in_place_and_graphs_kept():
    net = convnet()
    outputs = forward_together(net.features, images())
    outputs[0].mul_(2.0)
    by_part = losses_of(net, outputs, labels())
    mixer = GradMix(layers_of(net.backbone))
    first = mixer.backward(by_part[:-1], by_part[-1], retain_graph=True)
    grads = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    second = mixer.backward(by_part[:-1], by_part[-1])
    assert torch.equal(first.weights_LK, second.weights_LK)
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), grads, strict=True))


def test_without_gradients_it_is_one_pass():
    net = convnet().eval()
    with torch.no_grad():
        outputs = forward_together(net.features, images())
    for out, x in zip(outputs, images(), strict=True):
        assert not out.requires_grad
        torch.testing.assert_close(out, net.features(x).detach())


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3, 1, 1))

    def forward(self, x):
        return (x * self.scale).flatten(1)


def test_an_unknown_operation_is_refused_by_name():
    with pytest.raises(
        ValueError, match=r"scale \(of Scaled\) is used in .*Mul.*run each input by itself"
    ):
        forward_together(Scaled(), images(dtype=torch.float32))


@pytest.mark.parametrize(
    ("function", "xs", "error", "message"),
    [
        (functional.relu, images(), TypeError, "a module or a method of one"),
        (nn.Flatten(0), images(), ValueError, "a row for each of the 14 images"),
        (nn.Sequential(nn.Flatten(0), nn.Linear(768, 2)), images(), ValueError, None),
        (nn.BatchNorm2d(3, momentum=None), images(), ValueError, "momentum"),
        (nn.Flatten(), [], ValueError, "at least one input"),
    ],
)
def test_what_cannot_be_run_together_is_refused(function, xs, error, message):
    with pytest.raises((error, RuntimeError) if message is None else error, match=message):
        forward_together(function, xs)


def test_a_gradient_that_is_not_finite_names_its_source():
    net = convnet()
    by_part = losses_of(net, forward_together(net.features, images()), labels())
    mixer = GradMix(layers_of(net.backbone), source_names=["first", "second"])
    with pytest.raises(ArithmeticError, match=r"step 0: the gradient of second is NaN"):
        mixer.backward([by_part[0], by_part[1] * float("nan")], by_part[2])
    assert all(p.grad is None for p in net.parameters())
