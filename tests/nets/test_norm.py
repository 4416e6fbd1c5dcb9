"""Statistics of each domain by itself, against torch's own batch normalisation."""

import pytest
import torch
from torch import nn

from gradmix.mixing.layers import layers_of
from gradmix.nets.convnet import ConvNet
from gradmix.nets.norm import DomainBatchNorm, make_norm


def batches():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(6, 3, 4, 4, generator=generator) * s + s for s in (1.0, 3.0, 0.5)]


def test_one_domain_is_plain_batch_normalisation():
    plain, own = nn.BatchNorm2d(3), DomainBatchNorm(3, ["d"])
    for x in batches():
        torch.testing.assert_close(own(x, "d"), plain(x))
    torch.testing.assert_close(own.means_DC[0], plain.running_mean)
    torch.testing.assert_close(own.variances_DC[0], plain.running_var)
    x = batches()[0]
    torch.testing.assert_close(own.eval()(x, "d"), plain.eval()(x))


def test_each_domain_has_its_statistics_and_all_share_scale_and_bias():
    norm = DomainBatchNorm(3, ["a", "b", "c"])
    plain = [nn.BatchNorm2d(3) for _ in "ab"]
    first, second, _ = batches()
    for _ in range(3):
        norm(first, "a")
        plain[0](first)
        norm(second, "b")
        plain[1](second)
    norm.eval()
    torch.testing.assert_close(norm(second, "a"), plain[0].eval()(second))
    torch.testing.assert_close(norm(second, "b"), plain[1].eval()(second))
    assert (norm.means_DC[2] == 0).all()
    assert (norm.variances_DC[2] == 1).all()
    assert len(list(norm.parameters())) == 2


def test_evaluation_changes_no_statistics():
    norm = DomainBatchNorm(3, ["a"]).eval()
    before = norm.means_DC.clone()
    norm(batches()[1], "a")
    assert torch.equal(norm.means_DC, before)


def test_an_unknown_or_missing_domain_is_refused():
    norm = DomainBatchNorm(3, ["a", "b"])
    for domain in (None, "c"):
        with pytest.raises(ValueError, match=f"needs one of the domains a, b, got {domain!r}"):
            norm(batches()[0], domain)


def test_shared_statistics_are_torch_s_own_class():
    assert type(make_norm(3, "shared", ["a"])) is nn.BatchNorm2d
    with pytest.raises(ValueError, match="needs the names of the domains"):
        make_norm(3, "per_domain", [])
    with pytest.raises(ValueError, match='"shared" or "per_domain", but got \'none\''):
        make_norm(3, "none", ["a"])


def test_a_network_with_statistics_per_domain_has_the_same_layers():
    options = {"image_size": (8, 8), "width": 4, "hidden": 6}
    own = ConvNet({"a": 2}, norm_statistics="per_domain", domains=["x", "y"], **options)
    shared = ConvNet({"a": 2}, **options)
    assert [layer.name for layer in layers_of(own.backbone)] == [
        layer.name for layer in layers_of(shared.backbone)
    ]
    images = torch.randn(5, 3, 8, 8)
    own(images, "a", "x")
    norm = own.backbone.blocks[0].norm
    assert (norm.means_DC[0] != 0).any()
    assert (norm.means_DC[1] == 0).all()
    assert set(own.state_dict()) >= {"backbone.blocks.0.norm.means_DC"}
    with pytest.raises(ValueError, match="per_domain needs one of the domains x, y, got None"):
        own(images, "a")
