"""Keys of `network`: each network has its own, in methods and candidates too."""

from typing import get_args

import pytest

from gradmix.config import ConfigError, load_config
from gradmix.config.models import Network
from gradmix.nets.registry import NETWORKS

SMALL = {"image": {"height": 32, "width": 48}, "network": {"name": "resnet18"}}
TAKES = "resnet18 takes weights, norm_statistics, normalise, head, temperature"


@pytest.fixture
def resnet(plain_config):
    return plain_config | SMALL


def problems(values):
    with pytest.raises(ConfigError) as caught:
        load_config(values)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_every_network_can_be_named_and_every_option_set():
    assert set(get_args(Network.model_fields["name"].annotation)) == set(NETWORKS)
    options = {option for part in NETWORKS.values() for option in part.options}
    assert set(Network.model_fields) == {"name", *options}


def test_settings_hold_the_networks_own_keys(plain_config, resnet):
    digits = load_config(plain_config)
    assert digits.method_settings("gradmix").to_json()["network"] == plain_config["network"]
    assert digits.resolved()["network"] == plain_config["network"]
    for settings in (
        load_config(resnet).method_settings("gradmix"),
        load_config(resnet).grid_settings(),
    ):
        assert settings.network == {
            "name": "resnet18",
            "weights": "imagenet",
            "norm_statistics": "shared",
            "normalise": "convolutions",
            "head": "linear",
            "temperature": 0.05,
        }
    assert set(load_config(resnet).resolved()["network"]) == {"name", *NETWORKS["resnet18"].options}


@pytest.mark.parametrize("network", [{"name": "resnet18"}, {"name": "convnet"}])
def test_what_is_resolved_can_be_read_again(plain_config, network):
    values = plain_config | SMALL | {"network": network}
    resolved = load_config(values).resolved()
    assert load_config(resolved).resolved() == resolved


@pytest.mark.parametrize(
    ("setting", "in_settings"),
    [("none", "none"), ("imagenet", "imagenet"), ("a/net.pth", "file"), ("b.safetensors", "file")],
)
def test_a_path_is_no_setting(resnet, setting, in_settings):
    resnet["network"] = {"name": "resnet18", "weights": setting}
    config = load_config(resnet)
    assert config.method_settings("gradmix").to_json()["network"]["weights"] == in_settings
    assert config.network.weights == setting


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"network": {"name": "resnet18", "width": 3}},
            f"network.width: has no effect: {TAKES}",
        ),
        (
            {"network": {"name": "convnet", "weights": "none"}},
            "network.weights: has no effect: convnet takes width, hidden, norm_statistics",
        ),
        (
            {"methods": {"gradmix": {"network": {"hidden": 3}}}},
            f"methods.gradmix.network.hidden: has no effect: {TAKES}",
        ),
        (
            {"methods": {"gradmix": {"candidates": {"a": {"network": {"width": 3}}}}}},
            f"methods.gradmix.candidates.a.network.width: has no effect: {TAKES}",
        ),
        (
            {"tuning": {"candidates": {"a": {"network": {"width": 3}}}}},
            f"tuning.candidates.a.network.width: has no effect: {TAKES}",
        ),
        (
            {
                "ablations": {
                    "x": {
                        "title": "X",
                        "methods": {
                            "gradmix": {},
                            "wide": {"recipe": "gradmix", "network": {"width": 3}},
                        },
                    }
                }
            },
            f"ablations.x.methods.wide.network.width: has no effect: {TAKES}",
        ),
        (
            {"methods": {"gradmix": {"network": {"name": "convnet"}}}},
            "methods.gradmix.network.name: all methods train one network, resnet18",
        ),
        (
            {"methods": {"gradmix": {"network": {"weights": "mine.pth"}}}},
            "methods.gradmix.network.weights: is mine.pth, but network.weights is imagenet",
        ),
        (
            {"network": {"name": "resnet18", "weights": "net.onnx"}},
            "network.weights: must be imagenet, none, or the path of a .pth or .safetensors file",
        ),
        (
            {"network": {"name": "resnet50"}},
            "network.name: must be one of 'convnet' or 'resnet18'",
        ),
        ({"network": {"name": "resnet18", "wieghts": "none"}}, "did you mean network.weights?"),
        (
            {"image": {"height": 64, "width": 31}},
            "image.width: is 31, but resnet18 takes images of at least 32 pixels",
        ),
    ],
)
def test_mistakes_are_named(resnet, changes, expected):
    (problem,) = problems(resnet | changes)
    assert expected in problem


def test_methods_and_recipes_change_keys_that_the_network_takes(resnet):
    resnet["methods"] = {
        "gradmix": {"network": {"norm_statistics": "per_domain", "weights": "none"}},
        "mdda": {},
        "mme": {"network": {"weights": "imagenet", "temperature": 0.1}},
    }
    config = load_config(resnet)
    network = {
        name: config.method_settings(name).to_json()["network"] for name in resnet["methods"]
    }
    assert network["gradmix"]["norm_statistics"] == "per_domain"
    assert network["gradmix"]["weights"] == "none"
    assert (network["mdda"]["norm_statistics"], network["mdda"]["normalise"]) == (
        "per_domain",
        "all",
    )
    assert network["mdda"]["weights"] == "imagenet"
    assert (network["mme"]["head"], network["mme"]["temperature"]) == ("cosine", 0.1)
