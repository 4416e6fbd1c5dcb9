"""The digit network against its table, its sizes, heads, layers and complaints."""

from importlib import import_module
from inspect import signature

import pytest
import torch

from gradmix.mixing.layers import layers_of
from gradmix.nets.build import build_network
from gradmix.nets.convnet import ConvNet
from gradmix.nets.inputs import to_input
from gradmix.nets.registry import NETWORKS

SPACES = {"digits_5_9": 5, "digits_0_4": 5}


def small(**options):
    return ConvNet(
        {"a": 2, "b.c": 3}, **({"image_size": (8, 8), "width": 4, "hidden": 6} | options)
    )


def test_the_paper_size_has_the_table_s_parameters_and_five_shared_layers():
    network = ConvNet(SPACES)
    sizes = [sum(p.numel() for p in layer.parameters) for layer in layers_of(network.backbone)]
    # Bias-free convolutions with the normalisation behind them, then the hidden layer.
    assert sizes == [1728 + 128, 36864 + 128, 36864 + 128, 36864 + 128, 32896]
    assert sum(p.numel() for p in network.heads.parameters()) == 2 * 645
    assert sum(sizes) + 2 * 645 == 147_018


@pytest.mark.parametrize("size", [(32, 32), (28, 28), (16, 16), (8, 8), (1, 1), (20, 33), (3, 40)])
def test_images_of_any_size_pass(size):
    network = small(image_size=size)
    assert network(torch.zeros(3, 3, *size), "b.c").shape == (3, 3)


def test_heads_share_the_backbone_and_nothing_else():
    network = small()
    x = torch.randn(4, 3, 8, 8)
    network(x, "a").sum().backward()
    reached = [name for name, p in network.named_parameters() if p.grad is not None]
    assert [name for name in reached if name.startswith("heads")] == [
        "heads.linear.0.weight",
        "heads.linear.0.bias",
    ]
    assert all(p.grad is not None for p in network.backbone.parameters())


def test_channels_last_gives_the_same_numbers():
    network = small().eval()
    x = torch.randn(4, 3, 8, 8)
    expected = network(x, "a")
    moved = network.to(memory_format=torch.channels_last)
    x = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(moved(x, "a"), expected)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 9, 8), r"takes images of .* \(3, 8, 8\), but got \(3, 9, 8\) from svhn"),
        ((2, 1, 8, 8), r"\(3, 8, 8\), but got \(1, 8, 8\) from svhn"),
        ((3, 8, 8), r"but got \(8, 8\)"),
    ],
)
def test_other_images_are_refused_with_both_sizes(shape, message):
    with pytest.raises(ValueError, match=message):
        small()(torch.zeros(shape), "a", "svhn")


def test_unknown_names_and_sizes_are_refused():
    with pytest.raises(ValueError, match=r"unknown label space 'c'; known are a, b\.c"):
        small()(torch.zeros(2, 3, 8, 8), "c")
    with pytest.raises(ValueError, match="label space a needs at least 2 classes, but has 1"):
        ConvNet({"a": 1})
    for option in ({"width": 0}, {"hidden": 0}, {"in_channels": 0}, {"image_size": (0, 8)}):
        with pytest.raises(ValueError, match="must be at least 1"):
            small(**option)


@pytest.mark.parametrize("channels", [1, 3])
def test_input_is_scaled_to_minus_one_and_one_and_grey_is_repeated(channels):
    images = torch.zeros(2, 4, 5, channels, dtype=torch.uint8)
    images[1] = 255
    images[0, 1, 2] = 51
    inputs = to_input(images, channels=3)
    assert inputs.shape == (2, 3, 4, 5)
    assert inputs.dtype == torch.float32
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    assert (inputs[1] == 1).all()
    torch.testing.assert_close(inputs[0, :, 1, 2], torch.full((3,), -0.6))
    assert inputs[0].flatten(1).min(dim=1).values.tolist() == [-1, -1, -1]


def test_colour_images_keep_their_channels_and_do_not_enter_a_grey_network():
    images = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    torch.testing.assert_close(
        to_input(images, channels=3)[0, :, 0, 0], torch.tensor([-1, -0.6, 1])
    )
    with pytest.raises(ValueError, match="images have 3 channels, but the network takes 1"):
        to_input(images, channels=1)


def build(seed=1, **settings):
    name = settings.setdefault("name", "convnet")
    small = {"width": 4, "hidden": 6} if name == "convnet" else {}
    return build_network(
        {"norm_statistics": "shared"} | small | settings,
        SPACES, {"height": 40, "width": 32}, ["d"], seed=seed,
    )  # fmt: skip


def test_the_registry_builds_every_network_by_its_seed_and_leaves_the_generator_alone():
    for name in NETWORKS:
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        first, second, other = build(name=name), build(name=name), build(2, name=name)
        assert torch.equal(torch.rand(3), expected)
        state, same = first.state_dict(), second.state_dict()
        assert all(torch.equal(state[key], same[key]) for key in state)
        assert not torch.equal(next(first.parameters()), next(other.parameters()))
        assert first(torch.zeros(2, 3, 40, 32), "digits_0_4", "d").shape == (2, 5)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_registry_knows_what_a_networks_class_takes(name):
    kind = import_module(f"gradmix.nets.{name}").NETWORK
    given = {"self", "label_spaces", "image_size", "in_channels", "domains"}
    part = NETWORKS[name]
    taken = {*part.options, *part.by_recipe} - {"weights"}
    assert taken == set(signature(kind.__init__).parameters) - given
    assert part.takes_weights == hasattr(kind, "load_backbone")
