"""Sum and mean of the source losses."""

import pytest
import torch

from gradmix.mixing.finite import NonFiniteGradientError
from gradmix.mixing.mean import Mean
from gradmix.mixing.sum import Sum


@pytest.mark.parametrize(("mixer", "factor"), [(Sum(), 1.0), (Mean(), 1 / 3)])
def test_gradient_is_the_sum_or_mean(mixer, factor):
    x = torch.tensor([2.0], requires_grad=True)
    mixer.backward([x.sum() * 1, x.sum() * 2, x.sum() * 4])
    assert x.grad.item() == pytest.approx(7 * factor)


@pytest.mark.parametrize(("mixer", "factor"), [(Sum(), 1.0), (Mean(), 0.5)])
def test_a_target_that_is_given_is_one_more_source(mixer, factor):
    x = torch.tensor([2.0], requires_grad=True)
    step = mixer.backward([x.sum()], target_loss=100 * x.sum())
    assert x.grad.item() == factor * 101
    assert step.weights_LK.tolist() == [[factor]]
    assert step.rho.isnan()
    assert step.eta == 1
    assert mixer.state_dict() == {"steps": 1}


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
