"""The benchmark of packs measures what its dict says, and its way of CUDA graphs takes the loop's own step."""

import torch

from benchmarks.packs import _run, knee, measure, one_step


def test_every_way_has_a_row_and_packs_have_a_knee():
    found = measure("cpu", [1, 2], steps=1, repeats=2, width=2)
    assert [(row["how"], row["models"]) for row in found["rows"]] == [
        ("loop", 1),
        ("pack", 1),
        ("pack", 2),
    ]
    assert all(row["n"] == 2 and row["models_steps_per_second"] > 0 for row in found["rows"])
    assert found["knee"]["models"] in (1, 2)


def test_the_knee_is_the_smallest_pack_near_the_best():
    rates = {("loop", 1): 90.0, ("pack", 1): 10.0, ("pack", 8): 75.0, ("pack", 54): 80.0}
    rows = [
        {"how": how, "models": models, "models_steps_per_second": rate, "n": 1}
        for (how, models), rate in rates.items()
    ]
    rows.append({"how": "pack", "models": 540, "n": 0, "error": "out of memory"})
    expected = {"how": "pack", "models": 8, "models_steps_per_second": 75.0, "best": 80.0}
    assert knee(rows) == expected
    assert knee(rows[-1:]) == {}


def test_the_step_that_a_graph_captures_trains():
    run = _run("cpu", 2, 0, 1, 1)
    before = [parameter.clone() for parameter in run.network.parameters()]
    step = one_step(run)
    step()
    step()
    after = list(run.network.parameters())
    assert not any(torch.equal(a, b) for a, b in zip(before[:-4], after[:-4], strict=True))
    assert all(parameter.isfinite().all() for parameter in after)
