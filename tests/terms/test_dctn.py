"""DCTN: what its discriminators learn, whom they confuse, which images get labels; state and errors."""

import pytest
import torch
from term_contexts import TinyNet, assert_gradient, contexts_of
from torch._subclasses.fake_tensor import FakeTensorMode

from gradmix.terms.dctn import make, pseudo_label_loss, weighted_votes
from gradmix.terms.discriminators import (
    Discriminators,
    confusion_loss,
    discriminator_loss,
    hardest,
)
from gradmix.terms.registry import term_part

CPU = torch.device("cpu")
SETS = {
    "near": (7, "a", "near"),
    "other": (5, "b", "other"),
    "V": (3, "a", "target"),
    "U": (6, "a", "target"),
}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return TinyNet()


def term(**options):
    return make({**term_part("dctn").options, "hidden": 8, **options})


def gradients(module):
    return [None if p.grad is None else p.grad.clone() for p in module.parameters()]


def test_discriminators_learn_the_least_squares_optimum():
    """D*(x) = p_T(x) / (p_S(x) + p_T(x)), of two sources that overlap with the target differently."""
    torch.manual_seed(0)
    values = torch.eye(3)
    counts = torch.tensor([[6, 1, 1], [2, 5, 1]])
    target_counts = torch.tensor([2, 2, 4])
    sources = [values.repeat_interleave(row, dim=0) for row in counts]
    target = values.repeat_interleave(target_counts, dim=0)
    discriminators = Discriminators(2, 3, 16, 0.01, CPU)
    for _ in range(400):
        losses = discriminators.train(sources, target)
    optimum = target_counts / (counts + target_counts)
    answers = torch.stack([network(values)[:, 0] for network in discriminators.networks])
    torch.testing.assert_close(answers, optimum, rtol=0, atol=0.01)
    # At the optimum, the loss is sum_x p_S p_T / (p_S + p_T).
    torch.testing.assert_close(losses, (counts * optimum).sum(dim=1) / 8, rtol=0, atol=1e-3)


def test_losses_by_hand():
    source, target = torch.tensor([[0.0], [0.5]]), torch.tensor([[1.0], [0.0], [0.5]])
    assert float(discriminator_loss(source, target)) == pytest.approx(0.25 / 2 + 1.25 / 3)
    assert float(confusion_loss(source, target)) == pytest.approx((0.25 / 2 + 0.5 / 3) / 2)
    half = torch.full((4, 1), 0.5)
    assert discriminator_loss(half, half) == 0.5
    assert confusion_loss(half, half) == 0


def test_confusion_gradient_reaches_the_features_and_no_discriminator():
    torch.manual_seed(0)
    discriminators = Discriminators(2, 3, 8, 0.01, CPU)
    for network in discriminators.networks:
        network.double()
    features = [torch.randn(n, 3, dtype=torch.float64, requires_grad=True) for n in (4, 5, 6)]

    def confusion(first, second, target):
        return discriminators.confusion([first, second], target)

    assert torch.autograd.gradcheck(confusion, features)
    confusion(*features).sum().backward()
    assert all(p.grad is None for network in discriminators.networks for p in network.parameters())


def test_training_a_discriminator_reaches_no_features():
    torch.manual_seed(0)
    discriminators = Discriminators(1, 3, 8, 0.01, CPU)
    source, target = (torch.randn(n, 3, requires_grad=True) for n in (4, 5))
    before = [p.detach().clone() for p in discriminators.networks[0].parameters()]
    assert not discriminators.train([source], target).requires_grad
    assert source.grad is None
    assert target.grad is None
    after = discriminators.networks[0].parameters()
    assert all(not torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_hardest_is_the_largest_loss():
    assert hardest(torch.tensor([0.2, 0.7, 0.5])).tolist() == [0, 1, 0]
    assert hardest(torch.tensor([0.4, 0.4])).tolist() == [1, 0]
    assert hardest(torch.tensor([0.1])).tolist() == [1]


@pytest.mark.parametrize("worst", [0, 1])
def test_the_term_confuses_the_hardest_source_and_the_target(network, worst):
    """Its gradient is that of the hardest discriminator's confusion; the other source's features get none."""
    dctn = term(weight=2.0)
    dctn(contexts_of(network, SETS)["U"])  # builds the discriminators
    with torch.no_grad():  # this one errs most: it takes its source for the target
        dctn.discriminators.networks[worst][4].weight.fill_(0.4)
        dctn.discriminators.networks[worst][4].bias.fill_(2.0)
    streams = contexts_of(network, SETS)
    sources = [streams["near"], streams["other"]]
    for source in sources:
        source.features_BF.retain_grad()
    streams["U"].features_BF.retain_grad()
    loss = dctn(streams["U"])
    loss.backward()
    assert [bool((s.features_BF.grad != 0).any()) for s in sources] == [worst == 0, worst == 1]
    assert (streams["U"].features_BF.grad != 0).any()
    assert all(source.used_by_others for source in sources)

    # In float64, with the discriminator after its step, which `loss` has used; steps small beside ReLU's kinks.
    discriminator = dctn.discriminators.networks[worst].double()
    linear = network.backbone

    def confusion():
        scores = [
            discriminator(
                torch.tanh(
                    images.inputs.flatten(1).double() @ linear.weight.double().T
                    + linear.bias.double()
                )
            )
            for images in (sources[worst], streams["U"])
        ]
        return sum(((score - 0.5) ** 2).mean() for score in scores).detach()

    torch.testing.assert_close(loss.detach().double(), confusion())
    for parameter in linear.parameters():
        assert_gradient(confusion, parameter, parameter.grad, h=1e-4)
    assert gradients(network.heads) == [None] * 4


def test_votes_by_hand():
    votes = torch.tensor([[[1.0, 0.0], [0.2, 0.8]], [[0.0, 1.0], [0.6, 0.4]]])
    voted = weighted_votes(votes, torch.tensor([3.0, 1.0]))
    torch.testing.assert_close(voted, torch.tensor([[0.75, 0.25], [0.3, 0.7]]))
    assert not weighted_votes(votes, torch.zeros(2)).isnan().any()


def test_only_votes_at_the_threshold_count():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]], requires_grad=True)
    votes = torch.tensor([[0.2, 0.8], [0.9, 0.1], [0.05, 0.95]])
    losses = [(1 + torch.e**1) ** 1, 2.0]
    for threshold, expected in (
        (0.9, (torch.tensor(losses[0]).log() + torch.tensor(2.0).log()) / 2),
        (0.95, torch.tensor(2.0).log()),
        (0.96, torch.tensor(0.0)),
    ):
        loss = pseudo_label_loss(logits, votes, threshold)
        torch.testing.assert_close(loss.detach(), expected)
        (gradient,) = torch.autograd.grad(loss, logits)
        taken = (votes.max(dim=1).values >= threshold).tolist()
        assert [bool((row != 0).any()) for row in gradient] == taken


def test_pseudo_labels_start_after_the_warm_up_and_come_from_the_target_s_head(network):
    with torch.no_grad():
        network.heads["a"].bias.copy_(torch.tensor([0.0, 9.0, 0.0]))  # all but sure of class 1
    for step, labelled in ((0, False), (1, False), (2, True), (9, True)):
        network.zero_grad()
        streams = contexts_of(network, SETS, step=step)
        loss = term(weight=0.0)(streams["U"])
        loss.backward()
        if not labelled:
            assert gradients(network.heads) == [None] * 4
            continue
        ones = torch.ones(6, dtype=torch.int64)
        expected = torch.nn.functional.cross_entropy(streams["U"].logits_BC, ones)
        torch.testing.assert_close(loss, expected)
        assert gradients(network.heads["b"]) == [None] * 2
        assert all((g != 0).any() for g in gradients(network.heads["a"]))


def test_no_source_with_the_target_s_classes_means_no_vote(network):
    with torch.no_grad():
        network.heads["a"].bias.copy_(torch.tensor([0.0, 9.0, 0.0]))
    sets = {name: SETS[name] for name in ("other", "V", "U")}
    term()(contexts_of(network, sets, step=9)["U"]).backward()
    assert gradients(network.heads) == [None] * 4


def test_predictions_are_those_of_evaluation_and_leave_the_network_as_it_was():
    torch.manual_seed(0)
    network = TinyNet()
    network.norm = torch.nn.BatchNorm1d(4)
    plain = network.features
    network.features = lambda images, domain=None: network.norm(plain(images, domain))
    context = contexts_of(network, SETS)["U"]
    network.norm.running_mean.fill_(0.5)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    logits = context.evaluated_logits()
    assert not logits.requires_grad
    assert network.training
    assert network.norm.training
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    network.eval()
    assert torch.equal(logits, network(context.inputs, "a"))
    network.train()
    assert not torch.equal(logits, context.logits_BC)


def test_a_method_without_sources_is_refused(network):
    sets = {name: SETS[name] for name in ("V", "U")}
    with pytest.raises(ValueError, match="term dctn needs a method with source domains"):
        term()(contexts_of(network, sets)["U"])


def test_state_restores_it_bit_for_bit(network):
    def steps(dctn, numbers):
        return [dctn(contexts_of(network, SETS, step=n)["U"]).detach() for n in numbers]

    torch.manual_seed(3)
    whole, part, other = term(), term(), term()
    assert part.state() == {}
    part.load({})  # of a run broken off before its first step
    expected = steps(whole, range(6))
    torch.manual_seed(3)
    steps(part, range(3))
    random = torch.get_rng_state()
    state = {name: tensor.clone() for name, tensor in part.state().items()}
    other.load(state)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(torch.stack(steps(other, range(3, 6))), torch.stack(expected[3:]))
    final = whole.state()
    assert set(other.state()) == set(final)
    assert all(torch.equal(other.state()[name], tensor) for name, tensor in final.items())
    assert sum(name.startswith("adam.") for name in final) == 2 * 6 * 3


def test_no_value_is_read_off_the_cpu():
    """On tensors without values, which raise where one is asked for."""
    with FakeTensorMode():
        losses = torch.empty(2, device="cuda")
        votes, logits = (torch.empty(*s, device="cuda") for s in ((2, 6, 3), (6, 3)))
        assert hardest(losses).device.type == "cuda"
        loss = pseudo_label_loss(logits, weighted_votes(votes, losses), 0.9)
        assert (loss.shape, loss.device.type) == ((), "cuda")
        features = [torch.empty(n, 4, device="cuda") for n in (5, 6, 7)]
        discriminators = Discriminators(2, 4, 8, 0.01, torch.device("cuda"))
        assert discriminators.confusion(features[:2], features[2]).shape == (2,)
