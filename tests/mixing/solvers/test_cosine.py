"""Cosines from Gram numbers: equal to those of the vectors, 0 where there is none."""

import numpy as np
import pytest
import torch
from problems import bank

from gradmix.mixing.solvers.cosine import cosines
from gradmix.mixing.solvers.exact import exact_weights


@pytest.mark.parametrize("sources", [1, 3, 8])
def test_equal_to_the_cosine_of_the_vectors(sources):
    problems = bank(sources, 30)
    gram, target = problems.gram()
    weights = exact_weights(gram, target)
    computed = cosines(gram, target, problems.target_norm(), weights).numpy()
    plain = np.array(problems.families) != "cancelling"
    np.testing.assert_allclose(computed[plain], problems.cosines(weights)[plain], atol=1e-8)
    rescaled = cosines(gram, target, problems.target_norm(), 1e-200 * weights)
    np.testing.assert_allclose(rescaled[plain], computed[plain], atol=1e-8)


def test_zero_where_it_is_not_defined():
    gram = torch.eye(2).repeat(4, 1, 1)
    gram[3, 0, 1] = gram[3, 1, 0] = -1  # opposite sources
    gram[2] = 0
    target = torch.tensor([[0.0, 0.0], [0.5, 0.5], [0.0, 0.0], [0.5, -0.5]])
    norm = torch.tensor([0.0, 1.0, 1.0, 1.0])
    weights = torch.tensor([[0.5, 0.5], [0.0, 0.0], [0.5, 0.5], [0.5, 0.5]])
    computed = cosines(gram, target, norm, weights)
    torch.testing.assert_close(computed, torch.zeros(4))


def test_dimensions_dtype_and_nan():
    problems = bank(3, 2, ["gaussian", "in_cone", "opposed"])
    gram, target = problems.gram()
    norm, weights = problems.target_norm(), exact_weights(gram, target)
    expected = cosines(gram, target, norm, weights)
    batched = cosines(
        gram.reshape(2, 3, 3, 3),
        target.reshape(2, 3, 3),
        norm.reshape(2, 3),
        weights.reshape(2, 3, 3),
    )
    torch.testing.assert_close(batched, expected.reshape(2, 3))
    torch.testing.assert_close(cosines(gram[0], target[0], norm[0], weights[0]), expected[0])
    weights[1, 2] = torch.nan
    computed = cosines(gram, target, norm, weights)
    assert computed.isnan().tolist() == [False, True, False, False, False, False]
    assert (
        cosines(torch.ones(1, 1), torch.ones(1), torch.tensor(1.0), torch.ones(1)).dtype
        == torch.float32
    )
