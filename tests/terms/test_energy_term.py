"""EnergyNet's term: what it trains, what it leaves alone, and that it resumes bit for bit."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch.nn import functional

from gradmix.nets.build import start_from
from gradmix.nets.resnet18 import ResNet18
from gradmix.terms.context import Context
from gradmix.terms.energy import make

OPTIONS = {"learning_rate": 0.01, "margin": 1.0, "triplet_margin": 0.2}
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def network_of(energy=True):
    torch.manual_seed(0)
    return ResNet18({"a": 4, "b": 3}, image_size=(64, 64), energy=energy).train()


def context_of(network, seed):
    inputs = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return Context(
        network, inputs, LABELS, "a", "d", step=0, steps=10, streams={}, autocast=nullcontext()
    )


def energies(network, space="a"):
    return {n: t.clone() for n, t in network.energy_of(space).state_dict().items()}


def changed(before, after):
    return any(not torch.equal(before[name], tensor) for name, tensor in after.items())


def test_the_loss_is_cross_entropy_and_no_energy_reaches_the_network():
    network, plain = network_of(), network_of()
    before, other = energies(network), energies(network, "b")
    loss = make(OPTIONS)(context_of(network, 1))
    context = context_of(plain, 1)
    expected = functional.cross_entropy(context.logits_BC, LABELS)
    torch.testing.assert_close(loss, expected)
    assert changed(before, energies(network))
    assert not changed(other, energies(network, "b"))
    loss.backward()
    expected.backward()
    for (name, ours), theirs in zip(network.named_parameters(), plain.parameters(), strict=True):
        if name.startswith("energies"):
            assert ours.grad is None, name
        elif theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_energies_learn_to_tell_the_true_class():
    network, term = network_of(), make(OPTIONS)
    network.eval()  # the same maps at every step
    from gradmix.nets.energy import attention

    def margin():
        maps = network.feature_maps(context_of(network, 1).inputs).detach()
        logits = network.classify(network.pool(maps), "a")
        wrong = logits.scatter(1, LABELS[:, None], -torch.inf).argmax(dim=1)
        pairs = torch.stack([LABELS, wrong], dim=1)
        where = attention(maps, network.heads.weight_of("a"), pairs)
        return network.energy_of("a")(where, pairs).diff(dim=1).neg().mean().item()

    before = margin()
    for _ in range(30):
        term(context_of(network, 1))
    assert margin() > before + 0.5


def test_it_resumes_bit_for_bit():
    network, term = network_of(), make(OPTIONS)
    for seed in range(3):
        term(context_of(network, seed))
    kept = {name: tensor.clone() for name, tensor in term.state().items()}
    twin, resumed = copy.deepcopy(network), make(OPTIONS)
    resumed.load(kept)
    for seed in range(3, 5):
        term(context_of(network, seed))
        resumed(context_of(twin, seed))
    assert not changed(energies(network), energies(twin))
    fresh = make(OPTIONS)
    fresh(context_of(twin, 9))
    term(context_of(network, 9))
    assert changed(energies(network), energies(twin))  # without the moments it would differ


def test_it_starts_from_a_network_without_energies_and_from_no_other():
    plain, network = network_of(energy=False), network_of()
    before = energies(network)
    start_from(network, plain.state_dict(), "start.safetensors")
    assert not changed(before, energies(network))
    lacking = {n: t for n, t in plain.state_dict().items() if n != "backbone.conv1.weight"}
    with pytest.raises(ValueError, match=r"start.safetensors: .*\(backbone.conv1.weight\)"):
        start_from(network, lacking, "start.safetensors")
    with pytest.raises(ValueError, match="another network"):
        start_from(plain, network.state_dict(), "start.safetensors")
