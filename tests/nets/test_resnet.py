"""ResNet-18 against torchvision's own, its layers, statistics per domain, and pretrained weights."""

import copy

import pytest
import torch
from torchvision.models import ResNet18_Weights, resnet18

from gradmix.mixing.layers import layers_of
from gradmix.nets.norm import DomainBatchNorm
from gradmix.nets.registry import NETWORKS
from gradmix.nets.resnet18 import ResNet18, backbone_state

SPACES = {"a": 2, "b.c": 3}


def net(size=(32, 32), **options):
    torch.manual_seed(0)
    return ResNet18(SPACES, image_size=size, **options)


def per_domain(**options):
    return net(norm_statistics="per_domain", domains=["s", "t"], **options)


def images(count=4, size=(32, 32), seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, *size, generator=generator) * 2 - 1


def torchvisions():
    """A torchvision ResNet-18 with statistics and affine maps that are not those of a fresh one."""
    torch.manual_seed(7)
    model = resnet18(weights=None).eval()
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_var", "bn1.weight", "bn2.weight", "downsample.1.weight")):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bn1.bias", "bn2.bias", "downsample.1.bias")):
            tensor.normal_(0, 0.2)
    return model


def theirs(model, x):
    """Features of torchvision's network on images that its own preset normalises."""
    preset = ResNet18_Weights.IMAGENET1K_V1.transforms()
    mean, deviation = torch.tensor(preset.mean), torch.tensor(preset.std)
    normalised = ((x + 1) / 2 - mean[:, None, None]) / deviation[:, None, None]
    model.fc = torch.nn.Identity()
    return model(normalised)


@pytest.mark.parametrize("size", [(33, 64), (40, 65), (96, 96)])
@pytest.mark.parametrize("mode", ["train", "eval"])
@torch.no_grad()
def test_features_are_torchvisions(size, mode):
    model, network, x = torchvisions(), net(size), images(16, size)
    network.load_backbone(model.state_dict())
    model.train(mode == "train")
    network.train(mode == "train")
    expected = theirs(model, x)
    torch.testing.assert_close(network.features(x), expected, rtol=1e-4, atol=1e-5)
    # In training mode the running statistics, too, have moved alike.
    for name, tensor in model.state_dict().items():
        if "running" in name:
            own = network.backbone.state_dict()[name]
            torch.testing.assert_close(own, tensor, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_features_are_the_pooled_maps_and_logits_a_map_of_them():
    network, x = net((64, 97)).eval(), images(2, (64, 97))
    maps = network.feature_maps(x)
    assert maps.shape == (2, 512, 2, 4)
    features = network.features(x)
    torch.testing.assert_close(features, maps.mean(dim=(2, 3)))
    torch.testing.assert_close(network.pool(maps), features)
    head = network.heads.linear[1]
    expected = features @ head.weight.T + head.bias
    torch.testing.assert_close(network(x, "b.c"), expected)
    torch.testing.assert_close(network.classify(features, "b.c"), expected)


def test_twenty_layers_each_a_convolution_with_the_normalisation_behind_it():
    for network in (net(), per_domain()):
        backbone = dict(network.backbone.named_modules())
        layers = layers_of(network.backbone)
        assert len(layers) == 20
        for layer in layers:
            conv = backbone[layer.name]
            parent, _, own = layer.name.rpartition(".")
            last = {"conv1": "bn1", "conv2": "bn2", "0": "1"}[own]
            norm = backbone[f"{parent}.{last}" if parent else last]
            expected = [conv.weight, norm.weight, norm.bias]
            assert [id(p) for p in layer.parameters] == [id(p) for p in expected]
        # torchvision's 11,689,512 without the classifier's 512 x 1000 + 1000.
        assert sum(p.numel() for p in network.backbone.parameters()) == 11_689_512 - 513_000


@torch.no_grad()
def test_channels_last_gives_the_same_numbers():
    network, x = net().eval(), images()
    expected = network(x, "a")
    moved = network.to(memory_format=torch.channels_last)
    given = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(moved(given, "a"), expected, rtol=1e-4, atol=1e-5)


def test_statistics_of_a_domain_are_those_of_a_network_that_saw_it_alone():
    both = per_domain()
    alone = {name: net() for name in ("s", "t")}
    batches = {"s": images(seed=2), "t": images(seed=3) * 0.3 + 0.5}
    for name in ("s", "t", "s"):
        with torch.no_grad():
            both.features(batches[name], name)
            alone[name].features(batches[name])
    for row, name in enumerate(("s", "t")):
        state = alone[name].backbone.state_dict()
        for key, norm in both.backbone.named_modules():
            if isinstance(norm, DomainBatchNorm):
                torch.testing.assert_close(norm.means_DC[row], state[f"{key}.running_mean"])
                torch.testing.assert_close(norm.variances_DC[row], state[f"{key}.running_var"])
    x = images(seed=5)
    both.eval()
    with torch.no_grad():
        for name in ("t", "s"):
            torch.testing.assert_close(both.features(x, name), alone[name].eval().features(x))
        assert not torch.allclose(both.features(x, "s"), both.features(x, "t"))


@pytest.mark.parametrize("training", [True, False])
def test_domains_may_alternate_before_one_backward_pass_even_in_a_copy(training):
    network = per_domain().train(training)
    other = copy.deepcopy(network)
    losses = [network(images(seed=i), "a", name).square().sum() for i, name in enumerate("stst")]
    sum(losses).backward()
    for index, name in enumerate("stst"):
        other(images(seed=index), "a", name).square().sum().backward()
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        if one.grad is not None:
            scale = one.grad.abs().max().item()
            torch.testing.assert_close(one.grad, two.grad, rtol=1e-3, atol=1e-5 * (1 + scale))
    assert all(p.grad is not None for p in network.backbone.parameters())


def test_statistics_per_domain_need_a_known_domain():
    with pytest.raises(ValueError, match="needs one of the domains s, t, got None"):
        per_domain()(images(), "a")
    with pytest.raises(ValueError, match="got 'u'"):
        per_domain()(images(), "a", "u")


@torch.no_grad()
def test_normalise_all_normalises_the_scores():
    scores = net(normalise="all")(images(8), "b.c")
    torch.testing.assert_close(scores.mean(dim=0), torch.zeros(3), atol=1e-5, rtol=0)
    assert per_domain(normalise="all", head="cosine")(images(), "a", "s").shape == (4, 2)


@torch.no_grad()
def test_pretrained_weights_reach_every_domain_and_no_head():
    model, network = torchvisions(), per_domain().eval()
    heads = copy.deepcopy(network.heads.state_dict())
    network.load_backbone(model.state_dict())
    x = images()
    expected = theirs(model, x)
    for domain in ("s", "t"):
        torch.testing.assert_close(network.features(x, domain), expected, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(heads[name], t) for name, t in network.heads.state_dict().items())


def test_weights_without_classifier_or_counters_and_of_half_precision_fit():
    state = torchvisions().state_dict()
    bare = {
        name: tensor.half()
        for name, tensor in state.items()
        if not name.startswith("fc.") and "num_batches" not in name
    }
    backbone = backbone_state(bare, "file")
    assert len(backbone) == 20 * 5
    assert {tensor.dtype for tensor in backbone.values()} == {torch.float32}
    assert backbone_state(state, "file").keys() == backbone.keys()


def changed(**changes):
    state = torchvisions().state_dict()
    for name, tensor in changes.items():
        name = name.replace("__", ".")
        if tensor is None:
            del state[name]
        else:
            state[name] = tensor
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (lambda: changed(layer3__0__bn2__bias=None), r"without layer3\.0\.bn2\.bias$"),
        (lambda: changed(layer5=torch.ones(2)), r"layer5 not known"),
        (
            lambda: changed(conv1__weight=torch.ones(64, 1, 7, 7)),
            r"conv1\.weight has shape \(64, 1, 7, 7\), expected \(64, 3, 7, 7\)",
        ),
        (lambda: changed(bn1__bias=torch.full((64,), torch.nan)), r"bn1\.bias has values that are"),
        (lambda: changed(bn1__bias=torch.ones(64).int()), r"bn1\.bias has values that are"),
        (
            lambda: {f"module.{name}": t for name, t in changed().items()},
            r"without conv1\.weight, bn1\.weight, bn1\.bias and 97 more; it has module\.conv1\.weight",
        ),
        (dict, "without conv1.weight"),
    ],
)
def test_other_weights_are_refused_with_the_key_at_fault(state, message):
    network = net()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ValueError, match=r"^mine\.pth: .*" + message):
        network.load_backbone(state(), "mine.pth")
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (31, 40)}, r"image_size must be at least 32, but got \(31, 40\)"),
        ({"in_channels": 1}, "in_channels must be 3"),
        ({"normalise": "heads"}, "normalise must be"),
        ({"norm_statistics": "per_domain"}, "needs the names of the domains"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        net(**options)


def test_other_images_are_refused_with_both_sizes():
    with pytest.raises(ValueError, match=r"\(3, 32, 32\), but got \(3, 32, 40\) from svhn"):
        net()(torch.zeros(2, 3, 32, 40), "a", "svhn")


def test_the_registry_knows_the_smallest_image():
    assert NETWORKS["resnet18"].smallest_image == 32
    net((32, 32)).eval()(images(1), "a")
