"""Off the CPU the solvers never read a value back: proven on tensors that have no values.

Fake tensors know shapes, dtypes and devices only; `.item()`, a branch on a value, or an operator whose output shape
depends on values raises on them. A step that runs on them therefore runs without waiting for a device.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from gradmix.mixing.solvers import enumeration
from gradmix.mixing.solvers.cosine import cosines
from gradmix.mixing.solvers.exact import exact_weights


@pytest.fixture
def fake_device():
    """Fake tensors need no real device; constants that were made as fakes must not stay behind."""
    enumeration._constants.cache_clear()
    with FakeTensorMode():
        yield "cuda"
    enumeration._constants.cache_clear()


@pytest.mark.parametrize(
    ("sources", "masked"), [(1, True), (2, False), (3, True), (8, False), (9, False), (12, True)]
)
def test_no_value_is_read(sources, masked, fake_device):
    gram = torch.empty(4, 5, sources, sources, device=fake_device)
    target = torch.empty(4, 5, sources, device=fake_device)
    mask = torch.empty(5, sources, dtype=torch.bool, device=fake_device) if masked else None
    weights = exact_weights(gram, target, mask_LK=mask)
    assert (weights.shape, weights.dtype, weights.device.type) == (target.shape, gram.dtype, "cuda")
    cosine = cosines(gram, target, torch.empty(4, 5, device=fake_device), weights)
    assert (cosine.shape, cosine.device.type) == ((4, 5), "cuda")


def test_the_proof_would_notice(fake_device):
    with pytest.raises(DataDependentOutputException):
        torch.empty(3, device=fake_device).sum().item()


@pytest.mark.parametrize("sources", [3, 12])
def test_bad_rows_become_nan_where_nothing_may_be_read(sources, monkeypatch):
    """The arithmetic of other devices, run on the CPU: the bad row is NaN and no other."""
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(4, 20, sources, generator=generator, dtype=torch.float64)
    gram, target = gradients.mT @ gradients, gradients.sum(1)
    expected = exact_weights(gram, target)
    gram[1, 0, 0] = torch.nan
    target[2, 1] = torch.inf
    for module in ("problem", "active_set"):
        monkeypatch.setattr(f"gradmix.mixing.solvers.{module}.may_read", lambda _: False)
    weights = exact_weights(gram, target)
    assert weights[1].isnan().all()
    assert weights[2].isnan().all()
    torch.testing.assert_close(weights[[0, 3]], expected[[0, 3]])
