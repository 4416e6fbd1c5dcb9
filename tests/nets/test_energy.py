"""Attention maps and energies: against small problems solved by hand."""

import pytest
import torch
from torch.nn import functional

from gradmix.nets.energy import EnergyNet, attention, rescored
from gradmix.nets.resnet18 import ResNet18
from gradmix.terms.energy import energy_loss, triplet_loss

# One image, two channels, two places: the first channel sees the first place, the second the other.
MAPS = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]]]])


def test_attention_is_the_weighted_sum_of_the_maps_from_0_to_1():
    weight_CF = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0]])
    classes = torch.tensor([[0, 1, 2]])
    # Class 2: 3 * (1, 0) + 1 * (0, 2) = (3, 2).
    expected = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]])
    torch.testing.assert_close(attention(MAPS, weight_CF, classes), expected)
    flat = torch.full_like(MAPS, 5.0)
    assert attention(flat, weight_CF, classes).abs().max() == 0  # nothing stands out


def test_scores_are_probabilities_times_sigmoids_over_the_ten_likeliest():
    torch.manual_seed(0)
    logits, maps = torch.randn(3, 25), torch.randn(3, 4, 2, 2)
    weight, energies = torch.randn(25, 4), EnergyNet(4, 25)
    scores = rescored(logits, maps, weight, energies)
    probabilities = functional.softmax(logits, dim=1)
    for row in range(3):
        order = logits[row].argsort(descending=True).tolist()
        factors = {}
        for c in order[:10]:
            where = attention(maps[row : row + 1], weight, torch.tensor([[c]]))
            factors[c] = torch.sigmoid(energies(where, torch.tensor([[c]])))[0, 0]
            expected = torch.log(probabilities[row, c] * factors[c])
            torch.testing.assert_close(scores[row, c], expected)
        # The others keep their order, below all of the ten.
        assert scores[row, order[10:]].max() <= scores[row, order[:10]].min()
        assert scores[row, order[10:]].diff().max() <= 0


def test_energy_loss_is_a_margin():
    energies = torch.tensor([[2.0, 0.5], [1.0, 0.5], [0.0, 3.0]])
    # 1 - 2 + 0.5 < 0; 1 - 1 + 0.5; 1 - 0 + 3
    assert energy_loss(energies, 1.0).item() == pytest.approx((0 + 0.5 + 4) / 3)


def test_triplets_are_the_hardest_of_the_batch():
    embeddings = torch.tensor([[0.0], [1.0], [3.0], [4.0], [9.0]])
    labels = torch.tensor([0, 0, 1, 0, 2])
    # Of image 0: farthest of its class 16, nearest other 9; of image 1: 9 and 4; of image 3: 16 and 1; images 2
    # and 4 are alone in their classes.
    expected = (0.2 + 16 - 9 + 0.2 + 9 - 4 + 0.2 + 16 - 1) / 5
    assert triplet_loss(embeddings, labels, 0.2).item() == pytest.approx(expected)
    assert triplet_loss(embeddings, torch.zeros(5, dtype=torch.long), 0.2).item() == 0
    assert triplet_loss(embeddings, torch.arange(5), 0.2).item() == 0


def test_losses_without_a_pair_have_a_finite_gradient():
    embeddings = torch.zeros(3, 2, requires_grad=True)
    triplet_loss(embeddings, torch.tensor([0, 1, 1]), 0.2).backward()
    assert embeddings.grad.isfinite().all()


def test_a_network_with_energies_differs_in_evaluation_only():
    torch.manual_seed(0)
    network = ResNet18({"a": 12, "b": 3}, image_size=(40, 40), energy=True)
    images = torch.rand(4, 3, 40, 40) * 2 - 1
    features = network.features(images, None)
    torch.testing.assert_close(network(images, "a"), network.classify(features, "a"))
    network.eval()
    plain = network.classify(network.features(images), "a")
    scores = network(images, "a")
    assert not torch.allclose(functional.log_softmax(plain, dim=1), scores)
    maps = network.feature_maps(images)
    weight = network.heads.weight_of("a")
    torch.testing.assert_close(scores, rescored(plain, maps, weight, network.energy_of("a")))
    assert network.energy_of("b").classes.weight.shape[0] == 3
