"""The exact weights: never worse than SLSQP or chance, equal to least squares, and sane where nothing is defined."""

import numpy as np
import pytest
import torch
from problems import bank
from scipy.optimize import nnls

from gradmix.mixing.solvers.active_set import best_by_active_set
from gradmix.mixing.solvers.exact import exact_weights
from gradmix.mixing.solvers.slsqp import slsqp_weights

PER_FAMILY = 110  # x 12 families x 8 numbers of sources = 10,560 problems


def least_squares_directions(problems):
    """Directions of scipy's non-negative least-squares solutions; 0 where the solution is 0."""
    sources_LDK, target_LD = problems.units()
    directions_LD = np.zeros_like(target_LD)
    for i in range(len(problems)):
        mixed_D = sources_LDK[i] @ nnls(sources_LDK[i], target_LD[i])[0]
        norm = np.linalg.norm(mixed_D)
        directions_LD[i] = mixed_D / norm if norm > 0 else 0
    return directions_LD


@pytest.fixture(scope="module", params=range(1, 9))
def problems(request):
    return bank(request.param, PER_FAMILY)


@pytest.fixture(scope="module")
def references(problems):
    """Per problem: SLSQP's cosine (layer by layer), and the direction of least squares."""
    weights_LK = slsqp_weights(*problems.gram(), joint=False)
    return problems.cosines(weights_LK), least_squares_directions(problems)


@pytest.mark.parametrize("method", ["default", "active set"])
def test_bank(problems, references, method, monkeypatch):
    if method == "active set":
        monkeypatch.setattr("gradmix.mixing.solvers.exact.LARGEST_ENUMERATED", 0)
    slsqp_L, expected_LD = references
    weights_LK = exact_weights(*problems.gram())
    assert (weights_LK >= 0).all()
    torch.testing.assert_close(weights_LK.sum(-1), torch.ones(len(problems), dtype=torch.float64))
    cosine_L = problems.cosines(weights_LK)
    assert (slsqp_L - cosine_L).max() <= 1e-9

    # The Gram numbers of nearly cancelling sources do not hold the digits that would fix the direction.
    defined_L = (expected_LD != 0).any(1) & (np.array(problems.families) != "cancelling")
    errors_L = np.linalg.norm(problems.directions(weights_LK) - expected_LD, axis=1)
    assert errors_L[defined_L].max() <= 1e-6

    random = np.random.default_rng(0)
    norm_LK = np.linalg.norm(problems.sources, axis=1)
    for _ in range(20):
        parts_LK = random.exponential(size=weights_LK.shape) ** random.choice([1, 4])
        with np.errstate(divide="ignore"):
            guess_LK = np.where(norm_LK > 0, parts_LK / norm_LK, 0)
        assert (problems.cosines(guess_LK) - cosine_L).max() <= 1e-9


def test_permuted_sources_get_permuted_weights():
    problems = bank(5, 20, ["gaussian", "in_cone", "opposed", "ill_conditioned"])
    gram, target = problems.gram()
    order = torch.tensor([3, 0, 4, 1, 2])
    permuted = exact_weights(gram[:, order][:, :, order], target[:, order])
    torch.testing.assert_close(
        permuted, exact_weights(gram, target)[:, order], rtol=1e-6, atol=1e-12
    )


@pytest.mark.parametrize("scale", [1e-15, 0.3, 1e15])
def test_the_targets_scale_does_not_matter(scale):
    gram, target = bank(4, 20).gram()
    expected = bank(4, 20).directions(exact_weights(gram, target))
    directions = bank(4, 20).directions(exact_weights(gram, target * scale))
    np.testing.assert_allclose(directions, expected, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-15, 0.3, 1e15])
def test_a_longer_gradient_gets_a_smaller_weight(scale):
    """g_i -> c g_i divides w_i by c before the normalisation."""
    gram, target = bank(3, 20, ["gaussian", "in_cone"]).gram()
    weights = exact_weights(gram, target)
    scales = torch.tensor([1.0, scale, 1.0], dtype=torch.float64)
    rescaled = exact_weights(gram * scales * scales[:, None], target * scales)
    expected = weights / scales
    torch.testing.assert_close(rescaled, expected / expected.sum(-1, keepdim=True))


def test_two_sources_have_a_closed_form():
    problems = bank(2, 300, ["gaussian", "in_cone", "opposed"])
    sources, target = problems.units()
    c = np.einsum("ldk,ld->lk", sources, target)
    r = np.einsum("ld,ld->l", sources[:, :, 0], sources[:, :, 1])
    norm = np.linalg.norm(problems.sources, axis=1)
    mixed = c - r[:, None] * c[:, ::-1]
    best_single = np.eye(2)[c.argmax(1)]
    expected = np.where((mixed > 0).all(1, keepdims=True), mixed / norm, best_single)
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(exact_weights(*problems.gram()), expected, rtol=1e-9, atol=1e-30)


@pytest.mark.parametrize("sources", [1, 2, 5, 8, 12])
def test_where_all_sources_oppose_the_target_the_least_opposed_is_taken(sources):
    problems = bank(sources, 100, ["opposed"])
    units, target = problems.units()
    expected = np.eye(sources)[np.einsum("ldk,ld->lk", units, target).argmax(1)]
    np.testing.assert_array_equal(exact_weights(*problems.gram()), expected)


@pytest.mark.parametrize("sources", [2, 5, 8, 12])
def test_a_source_equal_to_the_target_is_taken_alone(sources):
    problems = bank(sources, 100, ["target_is_a_source"])
    weights = exact_weights(*problems.gram())
    assert ((weights == 1).sum(-1) == 1).all()
    np.testing.assert_allclose(problems.cosines(weights), 1, rtol=1e-12)


def test_frozen_values():
    """Computed once by hand: A = [[4, 1], [1, 9]], A w = (3, 2) at w = (5, 1) / 7."""
    gram = torch.tensor([[4.0, 1.0], [1.0, 9.0]], dtype=torch.float64)
    weights = exact_weights(gram, torch.tensor([3.0, 2.0], dtype=torch.float64))
    torch.testing.assert_close(weights, torch.tensor([5 / 6, 1 / 6], dtype=torch.float64))
    gram = torch.tensor([[2.0, 0.0, 1.0], [0.0, 4.0, 1.0], [1.0, 1.0, 1.0]])
    # Orthogonal sources: w_i proportional to b_i / A_ii; the third source is of no use then.
    weights = exact_weights(gram, torch.tensor([1.0, 3.0, 0.5]))
    torch.testing.assert_close(weights, torch.tensor([0.4, 0.6, 0.0]))
    weights = exact_weights(gram, torch.tensor([-1.0, -3.0, -0.5]))  # cosines ~ -.71, -1.5, -.5
    torch.testing.assert_close(weights, torch.tensor([0.0, 0.0, 1.0]))


@pytest.mark.parametrize("sources", [3, 12])
def test_degenerate_layers(sources):
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(6, 2 * sources, sources, generator=generator, dtype=torch.float64)
    guide = gradients.sum(-1)
    gradients[0, :, 1] = 0  # a source without gradient
    gradients[1] = 0  # no gradient at all
    guide[2] = 0  # no target
    guide[3] = 0  # no target, and a source without gradient
    gradients[3, :, 0] = 0
    gradients[4] = gradients[4, :, :1] * torch.arange(1, sources + 1)  # collinear sources
    guide[4] = gradients[4, :, 0]
    gradients[5] = gradients[5, :, :1]  # identical sources that oppose the target
    guide[5] = -gradients[5, :, 0]
    gram = gradients.mT @ gradients
    target = (gradients.mT @ guide.unsqueeze(-1)).squeeze(-1)
    weights = exact_weights(gram, target)
    assert weights[0, 1] == 0
    assert (weights[0] > 0).sum() == sources - 1
    uniform = torch.full((sources,), 1 / sources, dtype=torch.float64)
    torch.testing.assert_close(weights[1], uniform)
    torch.testing.assert_close(weights[2], uniform)
    without_first = torch.full((sources,), 1 / (sources - 1), dtype=torch.float64)
    without_first[0] = 0
    torch.testing.assert_close(weights[3], without_first)
    for layer in (4, 5):
        assert sorted(weights[layer].tolist()) == [0.0] * (sources - 1) + [1.0]


@pytest.mark.parametrize("sources", [4, 12])
def test_a_source_that_does_not_own_the_layer_is_left_out(sources):
    gram, target = bank(sources, 5, ["gaussian", "in_cone"]).gram()
    owned = torch.arange(sources) % 3 != 1
    keep = owned.nonzero().flatten()
    expected = torch.zeros_like(target)
    expected[:, keep] = exact_weights(gram[:, keep][:, :, keep], target[:, keep])
    dirty_gram, dirty_target = gram.clone(), target.clone()
    dirty_gram[:, ~owned] = torch.nan
    dirty_gram[:, :, ~owned] = torch.inf
    dirty_target[:, ~owned] = torch.nan
    weights = exact_weights(dirty_gram, dirty_target, mask_LK=owned)
    torch.testing.assert_close(weights, expected)


def test_masks_of_layers_without_owner_or_gradient():
    gram, target = torch.zeros(3, 2, 2), torch.zeros(3, 2)
    mask = torch.tensor([[True, True], [True, False], [False, False]])
    expected = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(exact_weights(gram, target, mask_LK=mask), expected)


@pytest.mark.parametrize("sources", [1, 3, 11])
def test_leading_dimensions(sources):
    gram, target = bank(sources, 2, ["gaussian", "in_cone", "opposed"]).gram()
    expected = exact_weights(gram, target)
    batched = exact_weights(gram.reshape(3, 2, sources, sources), target.reshape(3, 2, sources))
    torch.testing.assert_close(batched, expected.reshape(3, 2, sources))
    torch.testing.assert_close(exact_weights(gram[0], target[0]), expected[0])
    assert exact_weights(gram[:0], target[:0]).shape == (0, sources)


@pytest.mark.parametrize("sources", [1, 3, 8, 20])
def test_float32(sources):
    problems = bank(sources, 30, ["gaussian", "in_cone", "opposed", "few_parameters"])
    gram, target = problems.gram()
    weights = exact_weights(gram.float(), target.float())
    assert weights.dtype == torch.float32
    lost = problems.cosines(exact_weights(gram, target)) - problems.cosines(weights.double())
    assert lost.max() < 1e-5


def test_autograd_is_left_alone():
    gram, target = bank(3, 2, ["gaussian"]).gram()
    before = gram.clone()
    assert not exact_weights(gram.requires_grad_(), target.requires_grad_()).requires_grad
    torch.testing.assert_close(gram.detach(), before)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_not_finite_input_names_source_and_layer(bad):
    gram, target = (x.reshape(2, 3, *x.shape[1:]) for x in bank(4, 6, ["gaussian"]).gram())
    broken = gram.clone()
    broken[1, 2, 3, :] = bad
    broken[1, 2, :, 3] = bad
    with pytest.raises(ValueError, match=r"source 3 in layer 2 of batch index \(1,\)"):
        exact_weights(broken, target)
    with pytest.raises(ValueError, match="source 3 in layer 2"):
        exact_weights(broken[1], target[1])
    with pytest.raises(ValueError, match="source 3 in the layer"):
        exact_weights(broken[1, 2], target[1, 2])
    broken = target.clone()
    broken[0, 1] = bad
    with pytest.raises(ValueError, match="target gradient with source 0, 1, 2, 3 in layer 1"):
        exact_weights(gram, broken)


@pytest.mark.parametrize(
    ("gram", "target", "mask", "message"),
    [
        (torch.ones(2, 3), torch.ones(2), None, "gram must have shape"),
        (torch.ones(2, 0, 0), torch.ones(2, 0), None, "gram must have shape"),
        (torch.ones(2, 3, 3), torch.ones(3, 3), None, "target must have the shape"),
        (torch.ones(2, 3, 3).int(), torch.ones(2, 3), None, "floating-point"),
        (torch.ones(2, 3, 3), torch.ones(2, 3), torch.ones(3), "boolean"),
        (torch.ones(2, 3, 3), torch.ones(2, 3), torch.ones(2).bool(), "mask must broadcast"),
    ],
)
def test_wrong_shapes(gram, target, mask, message):
    with pytest.raises(ValueError, match=message):
        exact_weights(gram, target, mask_LK=mask)


@pytest.mark.parametrize("sources", [16, 64, 256])
@pytest.mark.parametrize("share", [0.5, 2.0])
def test_many_sources(sources, share):
    """`share`: parameters per source; below 1 the Gram matrix is singular."""
    random = np.random.default_rng(sources)
    layers = 3 if sources == 256 else 12
    gradients = random.standard_normal((layers, int(share * sources), sources))
    target = random.standard_normal(gradients.shape[:2])
    target[::2] = np.einsum("ldk,lk->ld", gradients[::2], random.random((layers, sources))[::2])
    unit = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    gradients = unit * 2.0 ** random.integers(-50, 51, (layers, 1, sources))
    gram = torch.from_numpy(np.einsum("ldi,ldj->lij", gradients, gradients))
    weights = exact_weights(gram, torch.from_numpy(np.einsum("ldi,ld->li", gradients, target)))
    parts = weights.numpy() * np.linalg.norm(gradients, axis=1)
    for layer in range(layers):
        direction = unit[layer] @ (parts[layer] / parts[layer].max())
        expected = unit[layer] @ nnls(unit[layer], target[layer])[0]
        direction, expected = (
            direction / np.linalg.norm(direction),
            expected / np.linalg.norm(expected),
        )
        assert np.linalg.norm(direction - expected) < 1e-6
        assert (direction - expected) @ target[layer] / np.linalg.norm(target[layer]) > -1e-9
        if share < 1:  # independent sources are enough
            assert (weights[layer] > 0).sum() <= share * sources


def test_the_active_set_method_needs_fewer_steps_than_it_may_take(monkeypatch):
    """One more sweep for every source would change nothing: no problem ends for lack of steps."""
    problems = bank(10, 40)
    monkeypatch.setattr("gradmix.mixing.solvers.exact.LARGEST_ENUMERATED", 0)
    weights = exact_weights(*problems.gram())
    monkeypatch.setattr("gradmix.mixing.solvers.active_set.STEPS_PER_SOURCE", 4)
    torch.testing.assert_close(exact_weights(*problems.gram()), weights, rtol=0, atol=0)


@pytest.mark.parametrize("sources", [9, 10])
def test_the_active_set_method_equals_the_enumeration(sources, monkeypatch):
    problems = bank(sources, 40)
    monkeypatch.setattr("gradmix.mixing.solvers.exact.LARGEST_ENUMERATED", 0)
    by_active_set = problems.cosines(exact_weights(*problems.gram()))
    monkeypatch.setattr("gradmix.mixing.solvers.exact.LARGEST_ENUMERATED", sources)
    by_enumeration = problems.cosines(exact_weights(*problems.gram()))
    # Nearly cancelling sources: either may be ahead by what the Gram numbers do not tell.
    tolerance = np.where(np.array(problems.families) == "cancelling", 1e-6, 1e-9)
    assert (np.abs(by_active_set - by_enumeration) <= tolerance).all()


def test_the_active_set_method_without_any_owner():
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    zeros = torch.zeros(2, 3, dtype=torch.float64)
    identity = torch.eye(3, dtype=torch.float64).expand(2, 3, 3)
    mixture = best_by_active_set(identity, zeros, nothing, cancellation=1e-14, tie=1e-13)
    assert mixture.isfinite().all()
