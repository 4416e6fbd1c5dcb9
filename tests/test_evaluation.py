"""Predictions, accuracy and re-estimated statistics."""

import numpy as np
import pytest
import torch
from torch import nn

from gradmix.evaluation import evaluate, predict_logits, reestimate_statistics
from gradmix.nets.convnet import ConvNet
from gradmix.nets.inputs import to_input
from gradmix.nets.passes import prediction_size

CPU = torch.device("cpu")


@pytest.fixture
def images(tmp_path):
    """Memory-mapped, as domains are."""
    path = tmp_path / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (50, 8, 8, 1), dtype=np.uint8))
    return np.load(path, mmap_mode="r")


def net(**options):
    torch.manual_seed(0)
    return ConvNet({"a": 3, "b": 2}, image_size=(8, 8), width=4, hidden=6, **options)


class Brightness(nn.Module):
    """Says how bright an image is: class 0, 1 or 2."""

    in_channels, image_size = 1, (2, 2)

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, x, label_space, domain):
        mean = x.mean(dim=(1, 2, 3))
        return -(mean[:, None] - torch.tensor([-1.0, 0.0, 1.0])).abs()


def test_a_pass_is_as_large_as_the_device_handles_well():
    """8 MB of the first convolution's activations on a CPU: 512 KB an image of 32 x 32 and 128 channels."""
    wide = ConvNet({"a": 3}, image_size=(32, 32), width=128, hidden=6)
    assert prediction_size(wide, CPU) == 16
    assert prediction_size(wide, torch.device("cuda")) == 1024
    assert prediction_size(net(), CPU) == 2**13
    assert prediction_size(Brightness(), CPU) == 500


def test_chunks_change_nothing_and_rows_keep_their_order(images, monkeypatch):
    network, rows = net(), [7, 3, 49, 3, 0]
    whole = predict_logits(network, images, range(50), "a", None, CPU)
    assert whole.shape == (50, 3)
    assert whole.dtype == torch.float32
    for size in (1, 2, 512):
        monkeypatch.setattr("gradmix.nets.passes.prediction_size", lambda *_, size=size: size)
        part = predict_logits(network, images, rows, "a", None, CPU)
        torch.testing.assert_close(part, whole[rows])


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_evaluated_and_put_back(images, training):
    network = net().train(training)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    logits = predict_logits(network, images, [0, 1], "b", None, CPU)
    assert not logits.requires_grad
    assert network.training is training
    assert network.backbone.training is training
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    with pytest.raises(ValueError, match="unknown label space"):
        predict_logits(network, images, [0, 1], "c", None, CPU)
    assert network.training is training


def test_no_image_is_refused(images):
    with pytest.raises(ValueError, match="no image to predict in label space a"):
        predict_logits(net(), images, [], "a", None, CPU)


def test_accuracy_and_confusion_by_hand():
    levels = np.array([0, 0, 128, 128, 255, 255, 0], dtype=np.uint8)
    images = np.ones((7, 2, 2, 1), np.uint8) * levels[:, None, None, None]
    labels = np.array([0, 1, 1, 1, 2, 0, 2])
    result = evaluate(Brightness(), images, labels, [0, 1, 2, 3, 4, 5], "a", None, CPU, classes=3)
    assert result == {
        "test_count": 6,
        "accuracy": 4 / 6,
        "confusion": [[1, 0, 1], [1, 2, 0], [0, 0, 1]],
    }


def norms(network):
    return [block.norm for block in network.backbone.blocks]


def test_reestimated_statistics_are_those_of_the_images(images):
    network = net()
    inputs = to_input(torch.from_numpy(np.array(images[:20])), channels=3)
    renewed = reestimate_statistics(network, images[:20], "a", None)
    first = network.backbone.blocks[0].conv(inputs)
    torch.testing.assert_close(norms(renewed)[0].running_mean, first.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(norms(renewed)[0].running_var, first.var(dim=(0, 2, 3)))
    # Evaluation of the renewed network is training mode's output, up to the variance's n / (n - 1).
    expected = network.train()(inputs, "a")
    got = renewed(inputs, "a")
    torch.testing.assert_close(got, expected, atol=0.05, rtol=0.05)


def test_reestimating_leaves_the_network_and_all_weights_alone(images):
    network = net()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    renewed = reestimate_statistics(network, images[:20], "a", None)
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    assert network.training
    assert not renewed.training
    assert [norm.momentum for norm in norms(renewed)] == [0.1] * 4
    for (name, old), new in zip(network.named_parameters(), renewed.parameters(), strict=True):
        assert torch.equal(old, new), name
    again = reestimate_statistics(renewed, images[:20], "a", None)
    for old, new in zip(renewed.buffers(), again.buffers(), strict=True):
        if old.is_floating_point():
            torch.testing.assert_close(old, new)


def test_per_domain_only_the_given_domain_s_statistics_change(images):
    network = net(norm_statistics="per_domain", domains=["s", "t"])
    network(torch.randn(9, 3, 8, 8), "a", "s")
    renewed = reestimate_statistics(network, images[:20], "a", "t")
    for old, new in zip(norms(network), norms(renewed), strict=True):
        assert torch.equal(old.means_DC[0], new.means_DC[0])
        assert (old.means_DC[1] == 0).all()
        assert (new.means_DC[1] != 0).any()


def test_no_image_gives_no_statistics(images):
    with pytest.raises(ValueError, match="on no image"):
        reestimate_statistics(net(), images[:0], "a", None)


def test_a_video_s_class_has_the_largest_mean_probability():
    """Three frames of a clip: two are slightly of class 0, one is surely of class 2, and so is their mean."""
    logits = torch.tensor(
        [[0.6, 0.5, 0.0], [0.0, 0.0, 9.0], [0.6, 0.5, 0.0], [5.0, 0.0, 0.0], [0.0, 5.0, 0.0]]
    )

    class Says(nn.Module):
        in_channels, image_size = 1, (1, 1)

        def forward(self, x, label_space, domain):
            return logits[((x[:, 0, 0, 0] + 1) * 127.5).round().long()]

    images = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1)
    labels, clips = np.array([2, 2, 2, 0, 0]), np.array(["a", "a", "a", "b", "b"])
    rows = [0, 3, 1, 4, 2]  # frames of a clip need not be neighbours
    found = evaluate(Says(), images, labels, rows, "x", None, CPU, classes=3, clips=clips)
    assert found["test_count"] == 5
    assert found["accuracy"] == pytest.approx(2 / 5)
    assert found["video_count"] == 2
    # a: right by its mean, though two of its frames are wrong. b: a tie of 0 and 1, of which the first counts.
    assert found["accuracy_per_video"] == pytest.approx(1.0)
    without = evaluate(Says(), images, labels, rows, "x", None, CPU, classes=3)
    assert "accuracy_per_video" not in without
    assert "video_count" not in without


@pytest.mark.parametrize("options", [{}, {"norm_statistics": "per_domain", "domains": ["d"]}])
def test_statistics_of_many_images_are_the_mean_over_equal_passes(images, options, monkeypatch):
    """Means are those of one pass over all; the first layer's, whose input the passes do not change."""
    network, domain = net(**options), "d" if options else None
    whole = reestimate_statistics(network, images, "a", domain).state_dict()
    monkeypatch.setattr("gradmix.evaluation.pass_size", lambda network: 10)
    parted = reestimate_statistics(network, images, "a", domain).state_dict()
    means = [name for name in whole if "blocks.0.norm" in name and "mean" in name]
    assert len(means) == 1
    torch.testing.assert_close(parted[means[0]], whole[means[0]])
    later = [name for name in whole if "blocks.1.norm" in name and "mean" in name]
    assert not torch.equal(parted[later[0]], whole[later[0]])
