"""Parameters grouped by layer."""

import pytest
from torch import nn

from gradmix.mixing.layers import layers_of


def names(module, **options):
    return [(layer.name, len(layer.parameters)) for layer in layers_of(module, **options)]


def test_weight_and_bias_together_and_normalisation_with_the_layer_before():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Linear(4, 2))
    assert names(module) == [("0", 4), ("3", 2)]


def test_leading_normalisation_goes_with_the_layer_behind():
    assert names(nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2))) == [("1", 4)]


def test_only_normalisation_is_a_layer_of_its_own():
    assert names(nn.Sequential(nn.LayerNorm(4))) == [("0", 2)]


def test_tensor_grouping_takes_every_tensor_for_itself():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    assert names(module, grouping="tensor") == [
        ("0.weight", 1),
        ("0.bias", 1),
        ("1.weight", 1),
        ("1.bias", 1),
    ]


def test_frozen_parameters_are_left_out():
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    module[0].requires_grad_(False)
    module[1].bias.requires_grad_(False)
    assert names(module) == [("1", 1)]


def test_tied_parameter_belongs_to_its_first_layer():
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    assert names(module) == [("0", 2), ("1", 1)]


def test_weight_norm_is_one_layer():
    module = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)), nn.Linear(2, 2))
    assert names(module) == [("0", 3), ("1", 2)]


def test_a_bare_layer_is_called_by_its_class():
    assert names(nn.Linear(2, 2)) == [("Linear", 2)]


def test_somebody_elses_normalisation_counts_by_its_name():
    class MyRMSNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(nn.Linear(3, 1).weight[0].detach())

    assert names(nn.Sequential(nn.Linear(3, 3), MyRMSNorm())) == [("0", 3)]


def test_errors():
    with pytest.raises(ValueError, match="no trainable parameter"):
        layers_of(nn.ReLU())
    with pytest.raises(ValueError, match='"module" or "tensor"'):
        layers_of(nn.Linear(2, 2), grouping="row")


def test_a_layer_that_only_has_norm_in_its_name_is_a_layer():
    class WeightNormLinear(nn.Linear):
        pass

    assert names(nn.Sequential(nn.Linear(3, 3), WeightNormLinear(3, 2))) == [("0", 2), ("1", 2)]
