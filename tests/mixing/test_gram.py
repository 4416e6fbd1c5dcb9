"""Inner products per layer."""

import pytest
import torch

from gradmix.mixing import rows as rows_module
from gradmix.mixing.gram import statistics
from gradmix.mixing.rows import TensorRows
from gradmix.mixing.rows import gram as gram_of


def gram(gradients_RP, sizes):
    """Of layers of one parameter each."""
    layers = [[TensorRows(list(part))] for part in gradients_RP.split(sizes, dim=1)]
    return gram_of(layers, len(gradients_RP), gradients_RP)


def test_equals_the_products_of_each_layers_slices():
    torch.manual_seed(0)
    gradients_RP = torch.randn(4, 12)
    result = gram(gradients_RP, [5, 1, 6])
    for part, rows in zip(result, gradients_RP.double().split([5, 1, 6], dim=1), strict=True):
        torch.testing.assert_close(part, rows @ rows.T, rtol=0, atol=0)


def test_float32_gradients_from_1e_minus_30_to_1e30_keep_their_products():
    scale = torch.tensor([1e-30, 1e30])[:, None]
    rows = torch.tensor([[1.0, 2.0], [2.0, -0.5]]) * scale
    result = gram(rows, [2])[0]
    assert result.dtype == torch.float64
    torch.testing.assert_close(
        result.diagonal(), torch.tensor([5e-60, 4.25e60], dtype=torch.float64), rtol=1e-6, atol=0
    )


def test_precision_settings_for_matrix_units_do_not_matter():
    torch.manual_seed(0)
    rows = torch.randn(3, 4096)
    expected = rows.double() @ rows.double().T
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", torch.bfloat16):
            result = gram(rows, [4096])[0]
    finally:
        torch.set_float32_matmul_precision(before)
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)


def test_statistics_split_sources_and_target():
    rows = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    stats = statistics(
        gram(rows, [2]), torch.ones(1, 2, dtype=torch.bool), torch.zeros(2), shared=1
    )
    assert stats.gram_LKK.tolist() == [[[1.0, 1.0], [1.0, 2.0]]]
    assert stats.target_LK.tolist() == [[0.0, 2.0]]
    assert stats.target_norm_L.tolist() == [2.0]


@pytest.mark.parametrize("piece", [1, 3, 7, 100])
def test_a_layers_parameters_count_together_whatever_the_pieces(piece, monkeypatch):
    monkeypatch.setitem(rows_module._PIECE, "cpu", piece)
    torch.manual_seed(0)
    weights_RP, biases_RP = torch.randn(3, 2, 5), torch.randn(3, 2)
    whole_RP = torch.cat([weights_RP.flatten(1), biases_RP], dim=1).double()
    rows = [TensorRows(list(weights_RP)), TensorRows(list(biases_RP))]
    found_LRR = gram_of([rows, rows[1:], [], rows[:1]], 3, weights_RP)
    torch.testing.assert_close(found_LRR[0], whole_RP @ whole_RP.mT)
    torch.testing.assert_close(found_LRR[1], whole_RP[:, 10:] @ whole_RP[:, 10:].mT)
    assert found_LRR[2].tolist() == [[0.0] * 3] * 3
    torch.testing.assert_close(found_LRR[3], whole_RP[:, :10] @ whole_RP[:, :10].mT)


def test_rows_that_lie_differently_in_memory_are_compared_element_by_element():
    torch.manual_seed(0)
    first = torch.randn(4, 3, 2, 2)
    second = torch.randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    gram_RR = gram_of([[TensorRows([first, None, second])]], 3, first)[0]
    assert gram_RR[0, 2].item() == pytest.approx((first.double() * second.double()).sum().item())
    assert gram_RR[1].tolist() == [0, 0, 0]
    both_last = first.contiguous(memory_format=torch.channels_last)
    again = gram_of([[TensorRows([both_last, second])]], 2, first)[0]
    assert again[0, 1].item() == pytest.approx(gram_RR[0, 2].item())


def test_a_gradient_that_autograd_gives_out_expanded_is_read_as_it_stands():
    row = torch.tensor(2.0).expand(3, 2)
    assert gram_of([[TensorRows([row, row])]], 2, row).tolist() == [[[24.0, 24.0], [24.0, 24.0]]]
