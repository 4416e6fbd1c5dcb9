"""GradMix with averages: the paper's weights where nothing is averaged, those of the mean cosines where it is."""

import pytest
import torch
from torch import nn

from gradmix.mixing.gradmix import GradMix
from gradmix.mixing.layers import Layer


def run(average, *steps):
    parameter = nn.Parameter(torch.zeros(len(steps[0][0]), dtype=torch.float64))
    mixer = GradMix([Layer("only", (parameter,))], average=average, rho="sum")
    steps_taken = []
    for rows in steps:
        losses = [(parameter * torch.tensor(row, dtype=torch.float64)).sum() for row in rows]
        steps_taken.append(mixer.backward(losses[:-1], losses[-1]))
    return mixer, steps_taken


FIRST = ([1.0, 0.0], [0.0, 1.0], [2.0, 0.0])
SECOND = ([1.0, 0.0], [0.0, 1.0], [0.0, 5.0])


def test_weights_come_from_the_averages_and_the_rate_from_this_steps_cosine():
    _, (first, second) = run(0.75, FIRST, SECOND)
    assert first.weights_LK[0].tolist() == [1, 0]
    # Orthogonal sources of length 1: weights are as the averaged cosines, 0.75 : 0.25.
    assert second.weights_LK[0].tolist() == pytest.approx([0.75, 0.25])
    cosine = 0.25 / (0.75**2 + 0.25**2) ** 0.5
    assert second.cosines_L.item() == pytest.approx(cosine)
    assert second.eta.item() == pytest.approx(torch.sigmoid(torch.tensor(10 * cosine - 0.6)).item())


def test_without_averages_every_step_is_its_own():
    mixer, (_, second) = run(0.0, FIRST, SECOND)
    assert second.weights_LK[0].tolist() == [0, 1]
    assert mixer.state_dict() == {"steps": 2}
    assert repr(mixer.layers) == "[Layer('only', 2 numbers)]"


def test_averaged_mixers_are_not_stacked():
    mixer, _ = run(0.75, FIRST)
    assert mixer.stack_key() is None
    assert GradMix(mixer.layers).stack_key() is not None


def test_an_average_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"average must be in \[0, 1\), but got 1.0"):
        run(1.0, FIRST)
