"""A user's own loop: what would train nothing, or wrongly, is an error or a warning; what is meant well works."""

import copy
import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gradmix import (
    FixedWeights,
    GradientMixer,
    GradMix,
    GuardedSum,
    GuidedSum,
    Mean,
    MetaGradient,
    Sum,
    layers_of,
)
from gradmix.mixing import arguments
from gradmix.mixing.layers import Layer

EVERY = {
    "gradmix": GradMix,
    "averaged": lambda layers, **more: GradMix(layers, average=0.9, **more),
    "meta gradient": MetaGradient,
    "guided sum": GuidedSum,
    "guarded sum": GuardedSum,
    "sum": Sum,
    "mean": Mean,
    "fixed weights": lambda layers, **more: FixedWeights(layers, [1.0, 0.5], **more),
}
every_mixer = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)


class Net(nn.Module):
    """Two shared layers, two heads."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh())
        self.heads = nn.ModuleDict({"a": nn.Linear(4, 3), "b": nn.Linear(4, 2)})
        self.double()

    def forward(self, x, head):
        return self.heads[head](self.backbone(x))


def losses(net, step=0, heads="aba"):
    generator = torch.Generator().manual_seed(step)
    by_domain = []
    for head in heads:
        x = torch.randn(8, 6, generator=generator, dtype=torch.float64)
        y = torch.randint(0, 2, (8,), generator=generator)
        by_domain.append(cross_entropy(net(x, head), y))
    return by_domain[:-1], by_domain[-1]


def sgd(net, **options):
    return torch.optim.SGD(net.parameters(), lr=0.1, **options)


def flat(parameters):
    return torch.cat([p.detach().flatten() for p in parameters])


# ---- one interface


@every_mixer
def test_a_loop_can_have_any_mixer_for_any_other(make):
    net = Net()
    mixer, optimizer = make(layers_of(net.backbone), source_names=["x", "y"]), sgd(net)
    before = flat(net.parameters())
    for step in range(3):
        optimizer.zero_grad()
        (first, second), target = losses(net, step)
        mixer.accumulate([first / 2, second / 2], target / 2)
        (first, second), target = losses(net, step + 10)
        told = mixer.backward({"y": second / 2, "x": first / 2}, target / 2)
        mixer.step(optimizer)
    assert told.weights_LK.shape == (2, 2)
    assert told.weights_LK.isfinite().all()
    assert (told.sources, told.layers) == (("x", "y"), ("0", "2"))
    assert told.cosines_L.isfinite().all() == (mixer.needs == "gram")
    assert not torch.equal(flat(net.parameters()), before)
    state = mixer.state_dict()
    assert state["steps"] == 3
    again = make(layers_of(net.backbone), source_names=["x", "y"])
    again.load_state_dict(copy.deepcopy(state))
    ours, theirs = (m.backward(*losses(net, 5)).weights_LK for m in (mixer, again))
    assert torch.equal(ours, theirs)
    assert again.steps == 4


@every_mixer
def test_a_mixer_is_told_in_a_short_line(make):
    mixer = make(layers_of(Net().backbone))
    assert repr(mixer).startswith(type(mixer).__name__ + "(2 layers")
    assert len(repr(mixer)) < 200
    assert repr(mixer.layers[0]) == "Layer('0', 35 numbers)"


def test_pooling_and_accumulated_parts_of_it():
    net, plain = Net(), Net()
    mixer = Sum(layers_of(net.backbone))
    mixer.accumulate(*losses(net, 0))
    mixer.backward(*losses(net, 1))
    for step in range(2):
        sources, target = losses(plain, step)
        torch.stack([*sources, target]).sum().backward()
    for ours, theirs in zip(net.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_what_needs_only_losses_is_one_backward_pass_to_the_bit():
    makers = {
        Sum: lambda losses: torch.stack(losses).sum(),
        Mean: lambda losses: torch.stack(losses).mean(),
    }
    for make, total in makers.items():
        ours, theirs = Net().float(), Net().float()
        x = torch.randn(7, 6)
        own, other = ([net(i * x, "a").square().mean() for i in range(3)] for net in (ours, theirs))
        make().backward(own)
        total(other).backward()
        for a, b in zip(ours.backbone.parameters(), theirs.backbone.parameters(), strict=True):
            assert torch.equal(a.grad, b.grad)


def test_a_mixer_may_need_norms_alone():
    class Shortest(GradientMixer):
        needs = "norms"

        def weigh(self, stats):
            squares_LK = stats.gram_LKK.diagonal(dim1=-2, dim2=-1)
            assert stats.gram_LKK[0, 0, 1].isnan()
            assert stats.target_LK.isnan().all()
            return (squares_LK == squares_LK.amin(dim=-1, keepdim=True)).double()

    net = Net()
    step = Shortest(layers_of(net.backbone)).backward(*losses(net))
    whole = GradMix(layers_of(net.backbone)).backward(*losses(net))
    torch.testing.assert_close(step.source_norms_LK, whole.source_norms_LK)
    torch.testing.assert_close(step.target_norm_L, whole.target_norm_L)
    assert step.weights_LK.sum(dim=1).tolist() == [1, 1]
    assert step.rho.isnan()
    assert step.eta == 1


# ---- the optimizer's step


def test_a_step_past_the_mixer_is_told_once_and_its_eta_dropped():
    net = Net()
    mixer, optimizer = GradMix(layers_of(net.backbone)), sgd(net)
    mixer.backward(*losses(net, 0))
    optimizer.step()
    optimizer.zero_grad()
    with pytest.warns(UserWarning, match=r"call mixer.step\(optimizer\) instead"):
        step = mixer.backward(*losses(net, 1))
    assert len(mixer._etas) == 1
    assert mixer._etas[0] is step.eta
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        mixer.backward(*losses(net, 2))  # without zero_grad
    assert len(mixer._etas) == 1


def test_a_dropped_steps_eta_does_not_enter_the_next():
    net = Net()
    mixer = GradMix(layers_of(net.backbone))
    mixer.backward(*losses(net, 0))
    net.zero_grad()
    step = mixer.backward(*losses(net, 1))
    assert mixer._etas == [step.eta]


def test_several_backward_calls_before_a_step_have_their_mean_eta():
    net = Net()
    mixer = GradMix(layers_of(net.backbone))
    etas = [mixer.backward(*losses(net, step)).eta for step in range(2)]
    expected, gradient = (
        flat(net.backbone.parameters()),
        flat(p.grad for p in net.backbone.parameters()),
    )
    mixer.step(sgd(net))
    expected -= 0.1 * torch.stack(etas).mean() * gradient
    torch.testing.assert_close(flat(net.backbone.parameters()), expected)


def test_nothing_is_pending_after_an_error_or_a_reset():
    net = Net()
    mixer, whole = GradMix(layers_of(net.backbone)), Net()
    mixer.accumulate(*losses(net, 0))
    with pytest.raises(ArithmeticError):
        mixer.backward([loss * math.nan for loss in losses(net, 1)[0]], losses(net, 1)[1])
    with pytest.raises(ValueError, match="needs a backward"):
        mixer.step(sgd(net))
    mixer.accumulate(*losses(net, 0))
    mixer.reset()
    mixer.backward(*losses(net, 2))
    GradMix(layers_of(whole.backbone)).backward(*losses(whole, 2))
    for ours, theirs in zip(net.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)


def test_several_optimizers_take_their_part():
    one, two = Net(), Net()
    for net, parts in ((one, [one]), (two, [two.backbone, two.heads])):
        mixer = GradMix(layers_of(net.backbone))
        mixer.backward(*losses(net))
        mixer.step(*(sgd(part) for part in parts))
    assert torch.equal(flat(one.parameters()), flat(two.parameters()))


def test_optimizers_that_call_the_loss_are_refused():
    net = Net()
    mixer = GradMix(layers_of(net.backbone))
    mixer.backward(*losses(net))
    with pytest.raises(ValueError, match="LBFGS calls the loss by itself"):
        mixer.step(torch.optim.LBFGS(net.parameters()))
    with pytest.raises(ValueError, match="needs an optimizer"):
        mixer.step()


# ---- float16


@pytest.mark.parametrize("eta_on", ["lr", "grad"])
def test_a_scaler_changes_no_step_and_an_overflow_leaves_one_out(eta_on):
    plain, scaled = Net(), Net()
    ours, theirs = (GradMix(layers_of(n.backbone), eta_on=eta_on) for n in (scaled, plain))
    first, second = sgd(scaled, momentum=0.9), sgd(plain, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for step in range(4):
        first.zero_grad()
        sources, target = losses(scaled, step)
        factor = math.inf if step == 2 else 1.0
        scaled_losses = [scaler.scale(loss * factor) for loss in sources]
        told = ours.backward(scaled_losses, scaler.scale(target), scaler=scaler)
        before = flat(scaled.parameters())
        ours.step(first, scaler=scaler)
        scaler.update()
        if step == 2:
            assert torch.equal(flat(scaled.parameters()), before)
            assert scaler.get_scale() == 512
            continue
        second.zero_grad()
        expected = theirs.backward(*losses(plain, step))
        theirs.step(second)
        for name in ("weights_LK", "eta", "source_norms_LK", "target_norm_L"):
            torch.testing.assert_close(getattr(told, name), getattr(expected, name))
    torch.testing.assert_close(flat(scaled.parameters()), flat(plain.parameters()))


def test_an_overflow_leaves_averages_as_they_are():
    net = Net()
    mixer, scaler = GuidedSum(layers_of(net.backbone)), torch.amp.GradScaler("cpu", init_scale=4.0)
    kept = None
    for factor in (1.0, math.inf):
        sources, target = losses(net)
        scaled_losses = [scaler.scale(loss * factor) for loss in sources]
        mixer.backward(scaled_losses, scaler.scale(target), scaler=scaler)
        mixer.step(sgd(net), scaler=scaler)
        scaler.update()
        kept = mixer.state_dict()["norms"] if factor == 1 else kept
    assert torch.equal(mixer.state_dict()["norms"], kept)


# ---- losses that do not fit the layers


@pytest.mark.parametrize("how", ["another network", "frozen", "parametrised"])
def test_losses_that_reach_no_shared_layer_are_told(how):
    net = Net()
    mixer = GradMix(layers_of(net.backbone))
    if how == "another network":
        net = Net()
    elif how == "frozen":
        net.backbone.requires_grad_(False)
    else:
        for layer in (net.backbone[0], net.backbone[2]):
            nn.utils.parametrizations.weight_norm(layer)
            layer.bias = nn.Parameter(layer.bias.detach().clone())
    with pytest.raises(ValueError, match="loss of source 0 reaches none of the 2 shared layers"):
        mixer.backward(*losses(net))


def test_a_target_of_another_network_is_told_by_name():
    net = Net()
    with pytest.raises(ValueError, match="loss of the target reaches none"):
        GradMix(layers_of(net.backbone)).backward(losses(net)[0], losses(Net())[1])


def test_a_head_that_nothing_would_train_is_named():
    net = Net()
    heads = [Layer(f"head {name}", tuple(net.heads[name].parameters())) for name in "ab"]
    mixer = GradMix(layers_of(net.backbone), heads=heads, last_layer="H0")
    with pytest.raises(ValueError, match=r'head b is used by no source.*last_layer="H1"'):
        mixer.backward(*losses(net, heads="aab"))
    GradMix(layers_of(net.backbone), heads=heads, last_layer="H1").backward(
        *losses(net, heads="aab")
    )


@pytest.mark.parametrize("make", [GuidedSum, GuardedSum])
def test_averages_of_other_sources_or_heads_are_refused(make):
    net = Net()
    mixer = make(layers_of(net.backbone))
    mixer.backward(*losses(net, heads="aba"))
    with pytest.raises(ValueError, match=r"averages are of the layers .* this step has"):
        mixer.backward(*losses(net, heads="aaa"))
    mixer = make(layers_of(net.backbone))
    (first, second), target = losses(net)
    mixer.backward({"x": first, "y": second}, target)
    (first, second), target = losses(net)
    mixer.backward({"y": second, "x": first}, target)  # the same ones
    (first, second), target = losses(net)
    with pytest.raises(
        ValueError, match="averages are of the sources x, y, but this step has x, z"
    ):
        mixer.backward({"x": first, "z": second}, target)


# ---- several losses of one pass


def test_losses_of_one_forward_pass_need_no_retain_graph():
    net, apart = Net(), Net()
    x = torch.randn(8, 6, dtype=torch.float64)

    def squares(net, passes):
        features = [net.backbone(x) for _ in range(passes)] * (4 - passes)
        return [net.heads["a"](f).square().mean() * (i + 1) for i, f in enumerate(features[:3])]

    for model, passes in ((net, 1), (apart, 3)):
        by_pass = squares(model, passes)
        GradMix(layers_of(model.backbone)).backward(by_pass[:-1], by_pass[-1])
        with pytest.raises(RuntimeError, match="second time"):
            by_pass[0].backward()
    for ours, theirs in zip(net.backbone.parameters(), apart.backbone.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_graphs_are_kept_only_where_losses_share_them(monkeypatch):
    kept, plain = [], torch.autograd.grad
    monkeypatch.setattr(
        torch.autograd, "grad", lambda *a, **o: kept.append(o["retain_graph"]) or plain(*a, **o)
    )
    net = Net().float()
    x = torch.randn(8, 6)
    with torch.autocast("cpu", torch.bfloat16):  # which casts each weight once for all passes
        by_pass = [net(x, "a").square().mean() for _ in range(3)]
    GradMix(layers_of(net.backbone)).backward(by_pass[:-1], by_pass[-1])
    assert kept == [False] * 3
    kept.clear()
    features = net.backbone(x)
    shared = [net.heads["a"](features).square().mean() for _ in range(2)]
    net.zero_grad()
    GradMix(layers_of(net.backbone)).backward([*shared, net(x, "a").mean()], net(x, "a").sum())
    assert kept == [False, False, True, False]


@pytest.mark.parametrize("outputs", ["one pass", "own passes"])
def test_compiled_networks(outputs):
    net, plain = Net(), Net()
    compiled = torch.compile(net.backbone, backend="aot_eager")
    x = torch.randn(8, 6, dtype=torch.float64)
    for model, backbone in ((net, compiled), (plain, plain.backbone)):
        features = [backbone(x)] * 3 if outputs == "one pass" else [backbone(x) for _ in range(3)]
        by_pass = [(i + 1) * model.heads["a"](f).square().mean() for i, f in enumerate(features)]
        GradMix(layers_of(model.backbone)).backward(by_pass[:-1], by_pass[-1])
    for ours, theirs in zip(net.backbone.parameters(), plain.backbone.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_donated_buffers_are_told_with_the_remedy():
    class Donated(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            raise RuntimeError("This backward function was compiled with non-empty donated buffers")

    net = Net()
    loss = Donated.apply(losses(net)[1])
    with pytest.raises(RuntimeError, match="donated_buffer = False before the network is compiled"):
        GradMix(layers_of(net.backbone)).backward([loss], losses(net)[1])


# ---- arguments


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (Net(), r"but got a network \(Net\)"),
        (list(Net().parameters()), "but got a list with a Parameter"),
        (layers_of(Net())[0], "but got a Layer"),
        (iter(layers_of(Net())), "but got a list_iterator"),
        (None, "but got a NoneType"),
    ],
)
def test_layers_that_are_none(layers, message):
    with pytest.raises(TypeError, match=message):
        GradMix(layers)


@every_mixer
def test_losses_that_are_none(make):
    net = Net()
    mixer = make(layers_of(net.backbone))
    (first, second), target = losses(net)
    for sources, guide, message in [
        (first, target, r"got one loss; write \[loss\]"),
        (torch.stack([first, second]), target, "got a stacked tensor"),
        ((loss for loss in (first, second)), target, r"got a generator; write list"),
        (None, target, "got a NoneType"),
        ([first, None], target, "loss of source 1 must be a scalar tensor, but got None"),
        ([first, second], [target], "loss of the target must be a scalar tensor, but got a list"),
    ]:
        with pytest.raises(TypeError, match=message):
            mixer.backward(sources, guide)
    with pytest.raises(
        ValueError, match=r"loss of source 1 must be a scalar, but has shape \(2,\)"
    ):
        mixer.backward([first, torch.stack([second, second])], target)
    if mixer.needs == "gram":
        with pytest.raises(TypeError, match=r"target_loss must be a scalar tensor.* but got None"):
            mixer.backward([first, second])
    mixer.backward([first, second[None]], target[None, None])  # one number each
    named = make(layers_of(net.backbone), source_names=["x", "y"])
    with pytest.raises(ValueError, match="source_names are"):
        named.backward(dict(zip("xz", losses(net)[0], strict=True)), losses(net)[1])


def test_a_mapping_in_another_order_is_the_same_step():
    net = Net()
    mixer = GradMix(layers_of(net.backbone), source_names=["x", "y"])
    (first, second), target = losses(net)
    named = mixer.backward({"y": second, "x": first}, target)
    net.zero_grad()
    plain = mixer.backward(*losses(net))
    assert torch.equal(named.weights_LK, plain.weights_LK)
    assert named.heads == ("head of x, the target", "head of y")


def test_sparse_and_complex_parameters_are_refused():
    net = Net()
    table = nn.Embedding(4, 6, sparse=True).double()
    x = table(torch.arange(4))
    with pytest.raises(ValueError, match="sparse=False"):
        GradMix(layers_of(net.backbone)).backward([net(x, "a").sum()], net(x, "a").mean())
    weight = nn.Parameter(torch.ones(6, dtype=torch.complex128))
    loss = (net.backbone[0].weight * weight.real).sum()
    with pytest.raises(ValueError, match="head of source 0 is complex; give its real view"):
        GradMix(layers_of(net.backbone)).backward([loss], losses(net)[1])


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"device_mesh": object()}, r"sharded \(DTensor\)"),
        ({"device": torch.device("mps")}, "on MPS, which has no float64"),
    ],
)
def test_parameters_in_pieces_or_without_float64_are_refused(attributes, message):
    class Parameter:
        device = torch.device("cpu")

        def is_complex(self):
            return False

    parameter = Parameter()
    vars(parameter).update(attributes)
    with pytest.raises(ValueError, match=f"layer one is {message}"):
        arguments.refuse_unknown_kinds([Layer("one", (parameter,))])
