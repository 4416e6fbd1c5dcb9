"""Inner products per layer."""

import torch

from gradmix.mixing.gram import gram, statistics


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
    stats = statistics(rows, [2], torch.ones(1, 2, dtype=torch.bool), torch.zeros(2), shared=1)
    assert stats.gram_LKK.tolist() == [[[1.0, 1.0], [1.0, 2.0]]]
    assert stats.target_LK.tolist() == [[0.0, 2.0]]
    assert stats.target_norm_L.tolist() == [2.0]
