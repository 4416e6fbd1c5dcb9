"""Sum of the source losses: what is refused (`test_properties.py` has what is written)."""

import pytest
import torch

from gradmix.mixing.finite import NonFiniteGradientError
from gradmix.mixing.sum import Sum


def test_nan_loss_names_step_and_source():
    x = torch.tensor([2.0], requires_grad=True)
    mixer = Sum(source_names=["svhn", "mnist"])
    mixer.backward([x.sum(), x.sum()])
    with pytest.raises(
        NonFiniteGradientError, match="step 1: the loss of mnist is NaN or infinite"
    ):
        mixer.backward([x.sum(), x.sum() * float("inf")])
    assert x.grad.item() == 2  # nothing was added


def test_no_source():
    with pytest.raises(ValueError, match="at least one source"):
        Sum().backward([])
