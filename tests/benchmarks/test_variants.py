"""The steps that are compared do the same work: same images, same losses, same gradients where they should."""

from functools import partial

import pytest
import torch

from benchmarks.cases import CASES, digits, mlp
from benchmarks.variants import (
    joined_losses,
    limit,
    limit_and_update,
    losses_of,
    make_variants,
    mixed,
    plain_with_target,
    together_losses,
    torchjd,
)

SMALL = mlp(3, hidden=2, width=16, inputs=8, batch=4)


def parameters_after(make, case):
    make(case)()
    return {name: p.detach().clone() for name, p in case.network.named_parameters()}


def test_joined_and_separate_passes_take_the_same_step():
    ways = (limit_and_update, plain_with_target)
    joined, apart = (parameters_after(way, SMALL("cpu")) for way in ways)
    torch.testing.assert_close(joined, apart)


def test_the_limit_takes_no_step():
    case = SMALL("cpu")
    before = [p.detach().clone() for p in case.network.parameters()]
    limit(case)()
    assert all(p.grad is not None for p in case.network.parameters())
    torch.testing.assert_close(list(case.network.parameters()), before)


def test_losses_of_all_ways_agree():
    case = SMALL("cpu")
    expected = torch.stack(losses_of(case))
    torch.testing.assert_close(torch.stack(joined_losses(case)), expected)
    torch.testing.assert_close(torch.stack(together_losses(case)), expected)


def test_joined_mixing_takes_the_same_step():
    joined = parameters_after(partial(mixed, losses=together_losses), SMALL("cpu"))
    torch.testing.assert_close(joined, parameters_after(mixed, SMALL("cpu")))


@pytest.mark.parametrize("chunk", [1, None])
@pytest.mark.parametrize("joined", [True, False])
def test_torchjd_is_given_all_objectives_and_parameters(chunk, joined):
    """With its plain sum as aggregator, its step is the one of the summed losses."""
    pytest.importorskip("torchjd")
    way = partial(torchjd, aggregator="Sum", chunk=chunk, joined=joined)
    found = parameters_after(way, SMALL("cpu"))
    torch.testing.assert_close(found, parameters_after(limit_and_update, SMALL("cpu")))


def test_what_is_missing_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchjd", None)
    made, skipped = make_variants(
        SMALL("cpu"), {"peer": partial(torchjd, aggregator="Sum", chunk=1)}
    )
    assert not made
    assert "torchjd" in skipped["peer"]


def test_cases_are_those_of_the_page(repository):
    text = (repository / "docs" / "performance.md").read_text()
    assert "32 × 32 images, 64 a source, 15 of V" in text
    case = digits(2)("cpu")
    assert [tuple(batch.images.shape) for batch in case.batches] == [
        (64, 3, 32, 32),
        (64, 3, 32, 32),
        (15, 3, 32, 32),
    ]
    assert {key.partition("-")[2] for key in CASES if key.startswith(("digits", "resnet"))} == {
        "2",
        "3",
    }
    assert {"mlp-8", "mlp-32"} <= set(CASES)
