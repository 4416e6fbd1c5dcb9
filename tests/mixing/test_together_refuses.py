"""What a joint forward pass cannot keep apart is refused by name; what looks hard and is not, is right."""

import copy

import pytest
import torch
from torch import nn
from torch.autograd.graph import save_on_cpu
from torch.utils.checkpoint import checkpoint

from gradmix import GradMix, forward_together, layers_of

SIZES = (4, 3, 2)


def inputs(*shape):
    torch.manual_seed(1)
    return [torch.randn(n, *shape).double() for n in SIZES]


class Net(nn.Module):
    """A recorded layer, what is to be refused, and a recorded layer."""

    def __init__(self, part, use=None):
        super().__init__()
        torch.manual_seed(0)
        self.before = nn.Linear(6, 6)
        self.part = part
        self.use = use
        self.after = nn.Linear(6, 5)
        self.double()

    def forward(self, x):
        x = torch.tanh(self.before(x))
        return self.after(self.part(x) if self.use is None else self.use(self, x))


class Double(torch.autograd.Function):
    """Somebody else's."""

    @staticmethod
    def forward(ctx, x, scale):
        ctx.save_for_backward(x, scale)
        return x * scale

    @staticmethod
    def backward(ctx, error):
        x, scale = ctx.saved_tensors
        return error * scale, (error * x).sum(dim=0)


def weight(*shape):
    return nn.ParameterList([nn.Parameter(torch.ones(*shape))])


def written(net, x):
    table = torch.zeros(6, 6, dtype=x.dtype)
    table[:3] = net.part[0]
    return x @ table


def attention(net, x):
    return net.part(x[:, None], x[:, None], x[:, None])[0][:, 0]


def recurrent(net, x):
    return net.part(x[:, None])[0][:, 0]


@pytest.mark.parametrize(
    ("part", "use", "name"),
    [
        (nn.MultiheadAttention(6, 2, batch_first=True), attention, "out_proj"),
        (
            nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True),
            lambda net, x: net.part(x[:, None])[:, 0],
            "self_attn.out_proj",
        ),
        (nn.LSTM(6, 6, batch_first=True), recurrent, "_l0"),
        (nn.GRU(6, 6, batch_first=True), recurrent, "_l0"),
        (nn.RNN(6, 6, batch_first=True), recurrent, "_l0"),
        (weight(3, 6), lambda net, x: x @ torch.cat([net.part[0], net.part[0]]), "0"),
        (weight(6), lambda net, x: x @ torch.stack([net.part[0]] * 6), "0"),
        (weight(6, 12), lambda net, x: x @ net.part[0].chunk(2, dim=1)[0], "0"),
        (weight(6, 6), lambda net, x: torch.einsum("ni,ij->nj", x, net.part[0]), "0"),
        (weight(6, 6), lambda net, x: torch.linalg.multi_dot([x, net.part[0], net.part[0]]), "0"),
        (weight(3, 6), written, "0"),
        (weight(6), lambda net, x: x.clone().mul_(net.part[0]), "0"),
        (weight(6), lambda net, x: Double.apply(x, net.part[0]), "0"),
        (nn.PReLU(), None, "weight"),
        (nn.utils.parametrizations.weight_norm(nn.Linear(6, 6)), None, "original"),
        # A weight made from a parameter, beside a bias that is recorded.
        (nn.Linear(6, 6), lambda net, x: nn.functional.linear(x, net.part.weight.t(), net.part.bias), "weight"),
    ],
)  # fmt: skip
def test_parameters_in_other_operations_are_named(part, use, name):
    with pytest.raises(ValueError, match=rf"^part\.\S*{name}\S* \(of .*separate passes"):
        forward_together(Net(part, use), inputs(6))


@pytest.mark.parametrize("make", [torch.jit.script, lambda m: torch.jit.trace(m, torch.ones(2, 6))])
def test_torchscript(make):
    with pytest.raises(ValueError, match=r"part \(\w+\) is torchscript.*separate passes"):
        forward_together(Net(make(nn.Linear(6, 6))), inputs(6))
    # A function leaves its trace in the graph.
    function = torch.jit.script(_scaled)
    with pytest.raises(ValueError, match=r"part\.0 \(of ParameterList\).*separate passes"):
        forward_together(Net(weight(6), lambda net, x: function(x, net.part[0])), inputs(6))


def _scaled(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return x * scale


def test_what_stands_in_front_is_not_left_without_a_gradient():
    xs = inputs(6)
    xs[1] = nn.Linear(6, 6).double()(xs[1])
    with pytest.raises(ValueError, match=r"input 1 requires a gradient.*separate passes"):
        forward_together(Net(nn.ReLU()), xs)
    with pytest.raises(ValueError, match="input 0 requires a gradient"):
        forward_together(nn.Linear(5, 5).double(), forward_together(Net(nn.ReLU()), inputs(6)))
    scale = torch.ones(6, dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match=r"a tensor of shape \(6,\) is used in .*Mul"):
        forward_together(Net(nn.ReLU(), lambda net, x: x * scale), inputs(6))


def test_a_joint_pass_inside_another():
    def inner(net, x):
        return torch.cat(forward_together(net.part, list(x.detach().split([4, 5]))))

    with pytest.raises(ValueError, match=r"cannot hold another one.*separate passes"):
        forward_together(Net(nn.Linear(6, 6), inner), inputs(6))


@pytest.mark.parametrize("reentrant", [True, False])
def test_activation_checkpointing(reentrant):
    def use(net, x):
        return checkpoint(net.part, x, use_reentrant=reentrant)

    net = Net(nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)), use)
    with pytest.raises(ValueError, match=r"checkpointing.*separate passes"):
        forward_together(net, inputs(6))


def test_hooks_on_saved_tensors():
    with save_on_cpu(), pytest.raises(ValueError, match=r"hooks on saved tensors.*separate passes"):
        forward_together(Net(nn.ReLU()), inputs(6))


def test_a_hook_on_a_parameter_would_not_be_called():
    net = Net(nn.Linear(6, 6))
    net.part.weight.register_hook(lambda gradient: 2 * gradient)
    with pytest.raises(ValueError, match=r"part\.weight \(of Linear\) has a hook"):
        forward_together(net, inputs(6))


@pytest.mark.parametrize("in_place", [True, False])
def test_a_compiled_part(in_place):
    part = nn.Linear(6, 6)
    if in_place:
        part.compile(backend="eager")
    net = Net(part if in_place else torch.compile(part, backend="eager"))
    with pytest.raises(ValueError, match=r"part \(\w+\) is compiled.*separate passes"):
        forward_together(net, inputs(6))


def losses(outputs):
    return [(out - index).square().mean() for index, out in enumerate(outputs)]


def gradients(net, by_part):
    net.zero_grad()
    GradMix(layers_of(net)).backward(by_part[:-1], by_part[-1])
    return [p.grad.clone() for p in net.parameters()]


def assert_alike(net, joint, separate):
    first, second = gradients(net, losses(joint)), gradients(net, losses(separate))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-12)


def wide():
    """Its inner products come from inputs and error signals."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(60, 80), nn.Tanh(), nn.Linear(80, 70)).double()


@pytest.mark.parametrize("again", ["accumulate", "backward"])
def test_the_same_features_with_losses_in_another_order(again):
    net, gradients_of_both = wide(), []
    for joint in (True, False):
        xs = inputs(60)
        outputs = forward_together(net, xs) if joint else [net(x) for x in xs]
        one, two, three = losses(outputs)
        net.zero_grad()
        mixer = GradMix(layers_of(net))
        getattr(mixer, again)([one, two], three, retain_graph=True)
        mixer.backward([three, one], two)
        gradients_of_both.append([p.grad.clone() for p in net.parameters()])
    torch.testing.assert_close(*gradients_of_both, rtol=0, atol=1e-12)


@pytest.mark.parametrize("where", ["outputs", "inside", "module"])
def test_hooks_on_activations(where):
    net = Net(nn.Linear(6, 6))
    if where == "inside":
        net.part.register_forward_hook(
            lambda m, a, out: out.register_hook(lambda g: 2 * g) and None
        )
    if where == "module":
        net.part.register_full_backward_hook(lambda m, a, out: None)
    sides = forward_together(net, inputs(6)), [net(x) for x in inputs(6)]
    if where == "outputs":
        for outputs in sides:
            for out in outputs:
                out.register_hook(lambda g: 2 * g)
                out.retain_grad()
    assert_alike(net, *sides)


def test_a_loss_of_an_activation_inside_the_network():
    net = Net(nn.Linear(6, 6))
    seen = []
    net.part.register_forward_hook(lambda m, a, out: seen.append(out))
    joint = losses(forward_together(net, inputs(6)))
    joint[0] = joint[0] + seen.pop()[:4].square().mean()
    separate = losses([net(x) for x in inputs(6)])
    separate[0] = separate[0] + seen[0].square().mean()
    torch.testing.assert_close(gradients(net, joint), gradients(net, separate), rtol=0, atol=1e-12)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("kind", ["batch", "instance"])
def test_every_input_has_its_own_statistics_without_gradients(kind, affine):
    norm = (
        nn.BatchNorm1d(6, affine=affine)
        if kind == "batch"
        else nn.InstanceNorm1d(6, affine=affine, track_running_stats=True)
    )
    net = nn.Sequential(nn.Conv1d(2, 6, 3), norm).double()
    other = copy.deepcopy(net)
    for gradients_on in (False, True):
        with torch.set_grad_enabled(gradients_on):
            joint = forward_together(net, inputs(2, 8))
            separate = [other(x) for x in inputs(2, 8)]
        torch.testing.assert_close(joint, separate, rtol=0, atol=1e-12)
    both = gradients(net, losses(joint)), gradients(other, losses(separate))
    torch.testing.assert_close(*both, rtol=0, atol=1e-12)
    for p, q in zip(net.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-12)


def test_a_square_just_below_zero_is_no_nan():
    """A constant input, and errors that sum to zero: every gradient of the weight is zero but for rounding."""
    net = nn.Linear(60, 80).double()
    x = torch.full((4, 60), 0.1).double()
    for seed in range(20):
        torch.manual_seed(seed)
        errors = [torch.randn(4, 80).double() for _ in range(3)]
        outputs = forward_together(net, [x, x, x])
        by_part = [
            ((e - e.mean(dim=0)) * out).sum() for e, out in zip(errors, outputs, strict=True)
        ]
        step = GradMix(layers_of(net)).backward(by_part[:-1], by_part[-1])
        assert step.cosines_L.abs().max() <= 1 + 1e-9
        assert step.source_norms_LK.isfinite().all()
