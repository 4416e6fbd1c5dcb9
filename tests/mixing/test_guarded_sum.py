"""The guarded sum: pooling where sources agree, and without those that oppose the target."""

import pytest
import torch
from torch import nn

from gradmix.mixing.gram import LayerStatistics
from gradmix.mixing.guarded_sum import GuardedSum
from gradmix.mixing.layers import Layer


def stats_of(gram_LKK, target_LK, target_norm_L, *, heads=0, mask_LK=None):
    mask_LK = torch.ones_like(target_LK, dtype=torch.bool) if mask_LK is None else mask_LK
    losses_K = torch.ones(target_LK.shape[1], dtype=torch.float64)
    shared = len(target_LK) - heads
    return LayerStatistics(gram_LKK, target_LK, target_norm_L, mask_LK, losses_K, shared)


def of_vectors(*layers, **more):
    """Statistics of layers given as rows: the sources' gradients, the target's last."""
    rows_LRD = torch.tensor(layers, dtype=torch.float64)
    gram_LRR = rows_LRD @ rows_LRD.mT
    norm_L = gram_LRR[:, -1, -1].sqrt()
    return stats_of(gram_LRR[:, :-1, :-1], gram_LRR[:, :-1, -1], norm_L, **more)


def mixer(**options):
    return GuardedSum([Layer("one", (nn.Parameter(torch.zeros(1)),))], **options)


def factors(stats, **options):
    return mixer(**options).weigh(stats)


def test_equal_cosines_are_pooling_whatever_the_norms():
    stats = of_vectors([[1.0, 0.0], [0.0, 100.0], [1.0, 1.0]])
    torch.testing.assert_close(factors(stats), torch.ones(1, 2, dtype=torch.float64))


def test_an_opposed_source_gets_nothing_and_the_others_no_more_than_their_own_gradient():
    stats = of_vectors([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [1.0, 1.0, -1.0]])
    torch.testing.assert_close(factors(stats), torch.tensor([[1.0, 1, 0]]).double())


def test_all_get_nothing_where_all_are_opposed_or_orthogonal():
    opposed = [[1.0, 0, 0], [0, 1.0, 0], [-1.0, -1.0, 0]]
    orthogonal = [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]
    assert not factors(of_vectors(opposed, orthogonal)).any()


def test_a_head_that_the_target_does_not_use_learns_from_its_sources():
    shared, head = [[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [3.0, 1.0], [0.0, 0.0]]
    mask_LK = torch.tensor([[True, True], [False, True]])
    assert factors(of_vectors(shared, head, heads=1, mask_LK=mask_LK)).tolist() == [[1, 0], [0, 1]]


def test_one_factor_a_source_comes_from_inner_products_summed_over_the_shared_layers():
    # The second source helps a little in the first layer and harms much in the second.
    layers = [[[1.0, 0], [0, 1.0], [1.0, 1.0]], [[1.0, 0], [0, 5.0], [1.0, -1.0]]]
    head = [[1.0, 0], [0, 1.0], [0.0, 0.0]]
    stats = of_vectors(*layers, head, heads=1)
    assert factors(stats, per="source").tolist() == [[1, 0]] * 3
    assert factors(stats).tolist() == [[1, 1], [1, 0], [1, 1]]


def test_the_first_steps_of_the_averages_count_alike():
    def after(first, second):
        one = mixer(average=0.9)
        one.weigh(first)
        return one.weigh(second)

    helps = of_vectors([[1.0, 0.0], [0.0, 1.0], [1.0, 0.6]])
    harms = of_vectors([[1.0, 0.0], [0.0, 1.0], [1.0, -0.6]])
    # Of two steps the later one has 1 / 1.9, the earlier 0.9 / 1.9: the second source's mean cosine keeps its sign.
    assert after(harms, helps)[0, 1] > 0
    assert after(helps, harms)[0, 1] == 0


def test_a_step_that_is_not_finite_leaves_the_averages_as_they_are():
    good = of_vectors([[1.0, 0.0], [0.0, 1.0], [1.0, 0.3]])
    bad = of_vectors([[float("nan"), 0.0], [0.0, 1.0], [1.0, 0.3]])
    one, other = mixer(), mixer()
    one.weigh(good)
    expected = one.weigh(good)
    other.weigh(bad)
    assert other.weigh(good).isfinite().all()
    third = mixer()
    third.weigh(good)
    torch.testing.assert_close(third.weigh(bad)[0, 0], expected[0, 0])


def test_a_target_learned_by_heart_still_guards_its_layers():
    opposed = of_vectors([[-1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    fitted = of_vectors([[-1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    one = mixer()
    one.weigh(opposed)
    assert one.weigh(fitted)[0, 0] == 0


@pytest.mark.parametrize("options", [{"average": 1.0}, {"average": -0.1}, {"per": "network"}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        mixer(**options)
