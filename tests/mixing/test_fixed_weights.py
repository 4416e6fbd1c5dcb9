"""Fixed weights: what is refused (`test_properties.py` has what is written)."""

import pytest
import torch
from torch import nn

from gradmix.mixing.fixed_weights import FixedWeights


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0, -1.0], [float("nan")], [float("inf")]])
def test_weights_out_of_range_are_refused(weights):
    with pytest.raises(ValueError, match="weights must be finite, not negative and not all 0"):
        FixedWeights(weights=weights)


def test_a_wrong_number_of_losses_is_told():
    parameter = nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match="2 weights, but 1 source losses"):
        FixedWeights(weights=[1.0, 2.0]).backward([parameter.sum()])
