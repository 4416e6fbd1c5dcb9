"""The paper's solver: same answers as the exact one where there is one maximum, and the same conventions."""

import builtins

import numpy as np
import pytest
import torch
from problems import bank

from gradmix.mixing.solvers.exact import exact_weights
from gradmix.mixing.solvers.slsqp import _joint_objective, _layer_objective, slsqp_weights


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("sources", [1, 2, 3, 6])
def test_finds_the_maximum_where_it_is_the_only_one(joint, sources):
    problems = bank(sources, 4, ["gaussian", "in_cone", "target_is_a_source"])
    gram, target = problems.gram()
    expected = problems.cosines(exact_weights(gram, target))
    reached = problems.cosines(slsqp_weights(gram, target, joint=joint))
    alone = expected > 0  # opposed targets can have several maxima
    np.testing.assert_allclose(reached[alone], expected[alone], atol=1e-6)


def test_the_targets_norms_set_the_shares_of_the_joint_sum_only():
    problems = bank(3, 4, ["gaussian", "in_cone"])
    gram, target = problems.gram()
    weights = slsqp_weights(gram, target, target_norm_L=problems.target_norm())
    expected = problems.cosines(slsqp_weights(gram, target))
    np.testing.assert_allclose(problems.cosines(weights), expected, atol=1e-6)


@pytest.mark.parametrize("sources", [2, 4])
def test_gradients_agree_with_finite_differences(sources):
    random = np.random.default_rng(0)
    factors = random.standard_normal((3, 6, sources))
    gram = np.einsum("ldi,ldj->lij", factors, factors)
    target = random.standard_normal((3, sources))
    joint = _joint_objective(gram, target, 1e-14)
    x = random.random(3 * sources) + 0.1
    gradient = np.empty_like(x)
    joint(x, gradient)
    nothing, step = np.empty(0), 1e-6
    numeric = [
        (joint(x + step * e, nothing) - joint(x - step * e, nothing)) / (2 * step)
        for e in np.eye(x.size)
    ]
    np.testing.assert_allclose(gradient, numeric, atol=1e-8)
    by_layer = np.empty((3, sources))
    for layer in range(3):
        _layer_objective(gram[layer], target[layer], 1e-14)(
            x.reshape(3, sources)[layer], by_layer[layer]
        )
    np.testing.assert_allclose(by_layer.ravel(), gradient, rtol=1e-12)


@pytest.mark.parametrize("joint", [False, True])
def test_degenerate_layers_and_masks_are_treated_as_by_the_exact_solver(joint):
    gram, target = bank(3, 2, ["in_cone"]).gram()
    gram, target = gram[:1].repeat(4, 1, 1), target[:1].repeat(4, 1)
    gram[1] = 0
    target[1:3] = 0
    mask = torch.ones(4, 3, dtype=torch.bool)
    mask[0, 1] = False
    mask[3] = False
    weights = slsqp_weights(gram, target, mask_LK=mask, joint=joint)
    torch.testing.assert_close(
        weights, exact_weights(gram, target, mask_LK=mask), rtol=0, atol=1e-4
    )


def test_shapes_dtypes_and_errors():
    gram, target = bank(3, 3, ["gaussian", "in_cone"]).gram()
    weights = slsqp_weights(gram.reshape(2, 3, 3, 3).float(), target.reshape(2, 3, 3).float())
    assert (weights.shape, weights.dtype) == ((2, 3, 3), torch.float32)
    target[4, 1] = torch.nan
    with pytest.raises(ValueError, match="source 1 in layer 4"):
        slsqp_weights(gram, target)


def test_a_time_limit_gives_the_best_point_so_far():
    gram, target = bank(3, 4, ["in_cone"]).gram()
    weights = slsqp_weights(gram, target, seconds=1e-9)
    torch.testing.assert_close(weights.sum(-1), torch.ones(4, dtype=torch.float64))


def test_without_nlopt(monkeypatch):
    real_import = builtins.__import__

    def without_nlopt(name, *args, **kwargs):
        if name == "nlopt":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_nlopt)
    with pytest.raises(ImportError, match="pip install nlopt"):
        slsqp_weights(torch.ones(1, 1, 1), torch.ones(1, 1))
