"""MixMatch against hand-solved losses, its limits, and what its passes may leave behind."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from scipy.stats import beta
from term_contexts import TinyNet, assert_gradient, contexts_of
from torch import nn

from gradmix.nets.convnet import ConvNet
from gradmix.terms.context import Context
from gradmix.terms.mixmatch import MixMatch, make
from gradmix.terms.registry import TERMS

# lambda' is 1 to float32's last digit: every image stays itself.
UNMIXED = {"alpha": 1e-6, "shift": 0, "ramp": 0.0}


def term(**options):
    return make({**TERMS["mixmatch"].options, **options})


def with_labels(contexts):
    """Labels 0, 1, 2, 0, ... for all streams but U."""
    for name, context in contexts.items():
        if name != "U":
            context.labels = torch.arange(len(context.labels)) % 3
    return contexts


@pytest.fixture
def contexts():
    torch.manual_seed(0)
    sets = {"S1": (3, "b", "s"), "V": (2, "a", "t"), "S_u": (4, "a", "t"), "U": (5, "a", "t")}
    return with_labels(contexts_of(TinyNet(), sets))


def test_the_guess_is_the_sharpened_mean():
    logits = [torch.tensor([[0.7, 0.2, 0.1]]).log(), torch.tensor([[0.5, 0.2, 0.3]]).log() + 4]
    # The mean is 0.6, 0.2, 0.2; squared and scaled to 1: 9/11, 1/11, 1/11.
    expected = torch.tensor([[9.0, 1.0, 1.0]]) / 11
    torch.testing.assert_close(term(temperature=0.5).guess(logits), expected)
    unsharpened = term(temperature=1.0).guess(logits)
    torch.testing.assert_close(unsharpened, torch.tensor([[0.6, 0.2, 0.2]]))


@pytest.mark.parametrize("temperature", [1e-2, 1e-3, 1e-5])
def test_a_temperature_towards_zero_gives_one_hot_labels(temperature):
    logits = [torch.tensor([[1.0, 2.0, 3.0], [900.0, 0.0, -900.0]])]
    guess = term(temperature=temperature).guess(logits)
    torch.testing.assert_close(guess, torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))


@pytest.mark.parametrize("alpha", [0.05, 0.75, 1.0, 4.0])
def test_shares_follow_the_folded_beta(alpha):
    torch.manual_seed(0)
    shares = term(alpha=alpha).shares(20000, torch.device("cpu"))
    assert shares.shape == (20000,)
    assert shares.min() >= 0.5
    assert shares.max() <= 1

    def folded(x):
        return beta.cdf(x, alpha, alpha) - beta.cdf(1 - x, alpha, alpha)

    # In steps of 0.01, so that values rounded to 1 do not matter: Kolmogorov's distance at 1 % significance.
    grid = np.arange(0.5, 1.0, 0.01)
    observed = (shares.numpy()[:, None] <= grid).mean(axis=0)
    assert np.abs(observed - folded(grid)).max() < 1.63 / np.sqrt(20000)


@pytest.mark.parametrize("alpha", [1e-3, 1e-6, 1e-12])
def test_a_tiny_alpha_gives_shares_of_one(alpha):
    torch.manual_seed(0)
    shares = term(alpha=alpha).shares(20000, torch.device("cpu"))
    assert (shares > 0.999).float().mean() > 0.98
    assert not shares.isnan().any()


def test_mixing_mixes_images_and_labels_by_the_same_share_and_partner():
    torch.manual_seed(0)
    # Image i is the constant i, and so is its label: they must stay equal.
    images = torch.arange(50.0)[:, None, None, None].expand(50, 2, 3, 3)
    labels = torch.arange(50.0)[:, None].expand(50, 4)
    mixed, targets = term().mixed(images, labels)
    torch.testing.assert_close(mixed[:, 0, 0, 0], targets[:, 0])
    assert torch.equal(mixed.amin(dim=(1, 2, 3)), mixed.amax(dim=(1, 2, 3)))
    own = torch.arange(50.0)
    assert (targets[:, 0] != own).sum() > 25
    # Every image is some partner's once, and none is further from itself than from its partner.
    torch.manual_seed(0)
    share = term().shares(50, images.device)
    partner = torch.randperm(50)
    assert len(set(partner.tolist())) == 50
    torch.testing.assert_close(targets[:, 0], share * own + (1 - share) * partner)


def test_alpha_towards_zero_mixes_nothing():
    torch.manual_seed(0)
    images, labels = torch.randn(30, 1, 2, 2), torch.randn(30, 3).softmax(dim=1)
    mixed, targets = term(alpha=1e-6).mixed(images, labels)
    assert torch.equal(mixed, images)
    assert torch.equal(targets, labels)


def test_unmixed_loss_by_hand(contexts):
    """Without shift and mixing: the squared distance of the predictions to their own sharpened form."""
    context = contexts["U"]
    p = torch.softmax(context.network(context.inputs, "a"), dim=1)
    q = p**2 / (p**2).sum(dim=1, keepdim=True)
    expected = 25 * ((q - p) ** 2).sum() / (5 * 3)
    torch.testing.assert_close(term(**UNMIXED)(context), expected)
    # Full MixMatch: and the cross entropy of V's and S_u's labels.
    v, s = (
        torch.log_softmax(contexts[n].network(contexts[n].inputs, "a"), 1) for n in ("V", "S_u")
    )
    picked = v[0, 0] + v[1, 1] + s[0, 0] + s[1, 1] + s[2, 2] + s[3, 0]
    torch.testing.assert_close(term(**UNMIXED, labelled=True)(context), expected - picked / 6)


class OneWeight(nn.Module):
    """Two classes, logits (w x, 0) of images of one pixel."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(1.0))

    def forward(self, images, label_space, domain=None):
        x = images.flatten(1)
        return torch.cat([self.w * x, torch.zeros_like(x)], dim=1)


def test_mixed_loss_by_hand_on_a_linear_model(monkeypatch):
    """V: x = 2 of class 1; U: x = -1; every share 3/4, each mixed with the other."""
    network, streams = OneWeight(), {}
    for name, x, label in (("V", 2.0, 1), ("U", -1.0, -1)):
        streams[name] = Context(
            network,
            torch.full((1, 1, 1, 1), x),
            torch.tensor([label]),
            "a",
            "t",
            step=0,
            steps=10,
            streams=streams,
            autocast=nullcontext(),
        )
    monkeypatch.setattr(MixMatch, "shares", lambda self, count, device: torch.full((count,), 0.75))
    monkeypatch.setattr(torch, "randperm", lambda count, device: torch.arange(count).flip(0))
    loss = term(augmentations=1, weight=2.0, ramp=0.0, shift=0)(streams["U"])
    loss.backward()
    # p(-1) = 1 / (1 + e) of class 0; sharpened with T = 1/2: 1 / (1 + e^2).
    guess = 1 / (1 + torch.tensor(2.0).exp())
    # The mixed image: 3/4 * -1 + 1/4 * 2 = -1/4; its target for class 0: 3/4 guess + 1/4 * 0.
    p = 1 / (1 + torch.tensor(0.25).exp())
    # Both classes differ by the same; the mean over them is the square of one.
    torch.testing.assert_close(loss, 2 * (0.75 * guess - p) ** 2)
    # d p / d w = p (1 - p) * -1/4, and the guess is a constant.
    slope = p * (1 - p) * -0.25
    torch.testing.assert_close(network.w.grad, 2 * 2 * (p - 0.75 * guess) * slope)


def test_no_gradient_flows_into_the_guess(contexts):
    context = contexts["U"]
    head = context.network.heads["a"]
    q = torch.softmax(2 * context.network(context.inputs, "a").detach(), dim=1)
    term(**UNMIXED)(context).backward()

    @torch.no_grad()
    def loss():
        p = torch.softmax(context.network(context.inputs, "a"), dim=1)
        return 25 * ((q - p) ** 2).mean()

    assert_gradient(loss, head.weight, head.weight.grad)


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.0), (160, 12.5), (320, 25.0), (321, 25.0), (999, 25.0)]
)
def test_the_weight_rises_over_the_first_third(step, expected):
    assert term().factor(step / 1000) == pytest.approx(expected)


def test_the_weight_multiplies_the_unlabelled_loss_alone(contexts):
    for context in contexts.values():
        context.progress = 0.16
    torch.manual_seed(1)
    ramped = term()(contexts["U"])
    torch.manual_seed(1)
    whole = term(ramp=0.0)(contexts["U"])
    torch.testing.assert_close(ramped, whole / 2)
    for context in contexts.values():
        context.progress = 0.0
    assert term()(contexts["U"]) == 0
    assert term(labelled=True)(contexts["U"]) > 0.1


def test_probabilities_are_labels_as_class_indices_are(contexts):
    losses = []
    for kind in ("indices", "one-hot"):
        if kind == "one-hot":
            labels = contexts["S_u"].labels
            contexts["S_u"].labels = nn.functional.one_hot(labels, 3).float()
        torch.manual_seed(1)
        losses.append(term(ramp=0.0, labelled=True)(contexts["U"]))
    assert torch.equal(*losses)


def test_sources_take_no_part_and_v_alone_suffices(contexts):
    torch.manual_seed(1)
    before = term(ramp=0.0, labelled=True)(contexts["U"])
    contexts["S1"].inputs = torch.full_like(contexts["S1"].inputs, torch.nan)
    torch.manual_seed(1)
    assert torch.equal(term(ramp=0.0, labelled=True)(contexts["U"]), before)
    sets = {"V": (2, "a", "t"), "U": (5, "a", "t")}
    alone = with_labels(contexts_of(contexts["U"].network, sets))
    assert torch.isfinite(term(ramp=0.0)(alone["U"]))


def test_without_labelled_images_it_says_what_it_needs():
    sets = {"S1": (3, "b", "s"), "U": (5, "a", "t")}
    with pytest.raises(ValueError, match=r"needs labelled target images \(V or S_u\)"):
        term()(contexts_of(TinyNet(), sets)["U"])


def normalised(labelled):
    """The network's buffers after the term, and after a plain pass over V alone; and the contexts."""
    torch.manual_seed(0)
    network = ConvNet({"a": 3}, image_size=(8, 8), width=4, hidden=6).train()
    streams = {}
    for name, count in (("V", 6), ("U", 7)):
        streams[name] = Context(
            network,
            torch.randn(count, 3, 8, 8),
            torch.arange(count) % 3,
            "a",
            "t",
            step=5,
            steps=10,
            streams=streams,
            autocast=nullcontext(),
        )
    fresh = {name: buffer.clone() for name, buffer in network.named_buffers()}
    term(labelled=labelled)(streams["U"])
    after = {name: buffer.clone() for name, buffer in network.named_buffers()}
    for name, buffer in network.named_buffers():
        buffer.copy_(fresh[name])
    with torch.no_grad():
        network(streams["V"].inputs, "a", "t")
    plain = {name: buffer.clone() for name, buffer in network.named_buffers()}
    return fresh, after, plain, streams


def test_running_statistics_are_left_to_the_labelled_streams():
    fresh, after, plain, _ = normalised(labelled=False)
    assert all(torch.equal(after[name], fresh[name]) for name in fresh)
    assert any(not torch.equal(plain[name], fresh[name]) for name in fresh)


def test_full_mixmatch_moves_running_statistics_by_one_plain_pass_over_v():
    _, after, plain, _ = normalised(labelled=True)
    assert all(torch.equal(after[name], plain[name]) for name in plain)


def test_a_labelled_stream_s_own_term_can_still_train_by_that_pass():
    streams = normalised(labelled=True)[-1]
    assert streams["V"].logits_BC.requires_grad


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"temperature": 0.0}, "temperature > 0"),
        ({"alpha": 0.0}, "alpha > 0"),
        ({"weight": -1.0}, "weight >= 0"),
        ({"ramp": -0.1}, "ramp >= 0"),
        ({"augmentations": 0}, "a whole number augmentations >= 1"),
        ({"shift": 1.5}, "a whole number shift >= 0"),
    ],
)
def test_options_out_of_range_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        term(**wrong)


def test_whole_numbers_may_be_written_as_floats():
    assert term(augmentations=3.0, shift=2.0).augmentations == 3
