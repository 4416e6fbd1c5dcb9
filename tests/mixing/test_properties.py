"""What holds for every mixer, on hard problems: of order, scale, useless sources, stacked models and resumed state."""

import pytest
import torch
from properties import (
    DEVICE,
    EPSILON,
    MIXERS,
    PLAIN,
    Session,
    cosines,
    directions,
    mixed,
    mixture,
    rows_of,
    stack,
    state_of,
    without_check,
)

from gradmix.mixing.gradmix import GradMix

every = pytest.mark.parametrize("mixer", MIXERS.values(), ids=MIXERS.keys())
guided = pytest.mark.parametrize(
    "mixer",
    [mixer for mixer in MIXERS.values() if mixer.guided],
    ids=[name for name, mixer in MIXERS.items() if mixer.guided],
)
solving = pytest.mark.parametrize(
    "mixer",
    [mixer for mixer in MIXERS.values() if mixer.solves],
    ids=[name for name, mixer in MIXERS.items() if mixer.solves],
)
counts = pytest.mark.parametrize("sources", [1, 2, 5, 9])
scales = pytest.mark.parametrize("factor", [2.0**-20, 2.0**20], ids=["shorter", "longer"])


def close(actual, expected, rtol=1e-6, atol=1e-12):
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)


def with_a_source(rows_LRD, extra_LD):
    """One more, behind the others."""
    return torch.cat([rows_LRD[:, :-1], extra_LD[:, None], rows_LRD[:, -1:]], dim=1)


def scaled(rows_LRD, row, factor):
    """One row times a power of two, which changes no digit."""
    rows_LRD = rows_LRD.clone()
    rows_LRD[:, row] *= factor
    return rows_LRD


@every
@counts
def test_all_is_finite_and_the_gradient_written_is_the_weighted_sum(mixer, sources):
    rows_LRD = rows_of(sources)
    zeros_LRD = rows_LRD[:3].clone()  # no source has a gradient; the target has none; neither
    zeros_LRD[0, :-1] = zeros_LRD[1, -1] = zeros_LRD[2] = 0
    rows_LRD = torch.cat([rows_LRD, zeros_LRD])
    result = mixed(mixer, rows_LRD)
    assert result.grad_LD.isfinite().all()
    assert ((result.weights_LK >= 0) & result.weights_LK.isfinite()).all()
    if mixer.guided:
        assert (result.step.cosines_L.abs() <= 1).all()
        assert result.step.rho.isfinite()
        assert 0 <= result.step.eta <= 1 if mixer.kind is GradMix else result.step.eta == 1
        assert (result.weights_LK <= 1 + 1e-12).all()
    if mixer.solves:
        close(result.weights_LK.sum(1), torch.ones(len(rows_LRD)).double())
    factors_LK = result.weights_LK * (sources if mixer.sum_length else 1)
    factors_LR = torch.cat([factors_LK, torch.full_like(factors_LK[:, :1], mixer.target_trains)], 1)
    parts_LRD = rows_LRD.cpu().double() * factors_LR[..., None]
    error_LD = (result.grad_LD.cpu().double() - parts_LRD.sum(1)).abs()
    assert (error_LD <= 4 * sources * EPSILON * parts_LRD.abs().sum(1)).all()


@guided
@counts
def test_the_cosines_told_are_those_of_the_mixture(mixer, sources):
    rows_LRD = rows_of(sources, families=PLAIN)
    result = mixed(mixer, rows_LRD)
    close(result.step.cosines_L.cpu(), cosines(rows_LRD, result.weights_LK), atol=1e-9)
    close(result.step.rho, result.step.cosines_L.sum())


@every
@counts
def test_the_order_of_the_sources_does_not_matter(mixer, sources):
    rows_LRD = rows_of(sources, families=PLAIN)
    order = torch.randperm(sources, generator=torch.Generator().manual_seed(0)).tolist()
    reordered = mixed(mixer, rows_LRD[:, [*order, sources]], sources=order)
    close(reordered.weights_LK, mixed(mixer, rows_LRD).weights_LK[:, order])


@solving
@pytest.mark.parametrize("sources", [2, 5, 9])
def test_nor_where_several_mixtures_are_best(mixer, sources):
    rows_LRD = rows_of(sources)
    order = [*reversed(range(sources)), sources]
    first, second = mixed(mixer, rows_LRD), mixed(mixer, rows_LRD[:, order])
    found_L = cosines(rows_LRD[:, order], second.weights_LK)
    close(found_L, cosines(rows_LRD, first.weights_LK), rtol=0, atol=1e-8)


@every
@counts
@scales
def test_all_gradients_scaled_scale_what_is_written(mixer, sources, factor):
    rows_LRD = rows_of(sources)
    rescaled, expected = mixed(mixer, rows_LRD * factor), mixed(mixer, rows_LRD)
    close(rescaled.weights_LK, expected.weights_LK, rtol=1e-12)
    close(rescaled.grad_LD, expected.grad_LD * factor, rtol=4 * EPSILON, atol=0)


@every
@counts
@scales
def test_the_targets_length_changes_no_weight(mixer, sources, factor):
    rows_LRD = rows_of(sources)
    rescaled = mixed(mixer, scaled(rows_LRD, -1, factor))
    close(rescaled.weights_LK, mixed(mixer, rows_LRD).weights_LK, rtol=1e-12)


@guided
@counts
@scales
def test_a_sources_length_changes_no_direction_or_no_weight(mixer, sources, factor):
    rows_LRD = rows_of(sources, families=PLAIN)
    rescaled, expected = mixed(mixer, scaled(rows_LRD, 0, factor)), mixed(mixer, rows_LRD)
    if mixer.solves:
        close(rescaled.step.cosines_L, expected.step.cosines_L)
        expected_LK = expected.weights_LK.clone()
        expected_LK[:, 0] /= factor
        close(rescaled.weights_LK, expected_LK / expected_LK.sum(1, keepdim=True))
    elif mixer.target_trains:  # guarded: cosines alone count
        close(rescaled.weights_LK, expected.weights_LK, rtol=1e-12)
    else:  # by inner products
        helps_LK = expected.weights_LK.clone()
        helps_LK[:, 0] *= factor
        close(rescaled.weights_LK, helps_LK / helps_LK.sum(1, keepdim=True).clamp(min=1e-300))


@solving
@scales
def test_nor_the_cosine_of_hard_problems(mixer, factor):
    rows_LRD = rows_of(5)
    rescaled, expected = mixed(mixer, scaled(rows_LRD, 0, factor)), mixed(mixer, rows_LRD)
    close(rescaled.step.cosines_L, expected.step.cosines_L, rtol=0, atol=1e-6)


@every
@counts
def test_a_source_without_a_gradient_takes_no_weight(mixer, sources):
    rows_LRD = rows_of(sources, families=PLAIN)
    more_LRD = with_a_source(rows_LRD, torch.zeros_like(rows_LRD[:, 0]))
    before_LK, after_LK = mixed(mixer, rows_LRD).weights_LK, mixed(mixer, more_LRD).weights_LK
    if mixer.guided:
        assert not after_LK[:, -1].any()
        if mixer.target_trains and not mixer.solves:  # a factor grows with the number of sources
            assert (after_LK[:, :-1] >= before_LK * (1 - 1e-9)).all()
        else:
            close(after_LK[:, :-1], before_LK)
    found_LD, expected_LD = mixture(more_LRD, after_LK), mixture(rows_LRD, before_LK)
    if not mixer.target_trains:
        close(directions(found_LD), directions(expected_LD))


@solving
@counts
def test_a_source_given_twice_changes_no_direction(mixer, sources):
    rows_LRD = rows_of(sources, families=PLAIN)
    more_LRD = with_a_source(rows_LRD, rows_LRD[:, 0] / 2)
    found_LD = mixture(more_LRD, mixed(mixer, more_LRD).weights_LK)
    expected_LD = mixture(rows_LRD, mixed(mixer, rows_LRD).weights_LK)
    close(directions(found_LD), directions(expected_LD), atol=1e-6)


@guided
@counts
def test_a_source_against_the_target_takes_no_weight(mixer, sources):
    rows_LRD = rows_of(sources, families=PLAIN)
    more_LRD = with_a_source(rows_LRD, -rows_LRD[:, -1])
    assert not mixed(mixer, more_LRD).weights_LK[:, -1].any()


@guided
@counts
def test_where_all_sources_oppose_the_target_one_or_none_is_taken(mixer, sources):
    rows_LRD = rows_of(sources, families=["opposed"])
    result = mixed(mixer, rows_LRD)
    if mixer.solves:
        assert (result.weights_LK.amax(1) == 1).all()
    else:
        assert not result.weights_LK.any()
        expected_LD = rows_LRD[:, -1] * mixer.target_trains
        assert torch.equal(result.grad_LD, expected_LD)


@every
def test_a_single_source_is_taken_or_left(mixer):
    rows_LRD = rows_of(1, per_family=8, families=PLAIN)
    weights_L = mixed(mixer, rows_LRD).weights_LK[:, 0]
    if mixer.known:
        close(weights_L, torch.tensor(mixer.known([0])).double().expand(len(weights_L)))
        return
    inner_L = rows_LRD.cpu().double().prod(1).sum(1)
    if mixer.options.get("per") == "source":
        inner_L = inner_L.sum().expand(len(weights_L))
    assert torch.equal(
        weights_L, torch.ones_like(weights_L) if mixer.solves else (inner_L > 0).double()
    )


@every
@counts
def test_models_with_a_leading_dimension_are_those_mixed_alone(mixer, sources):
    models = [rows_of(sources, families=PLAIN, seed=seed) for seed in range(3)]
    session = stack([Session(mixer, rows_LRD) for rows_LRD in models])
    if session is None:
        pytest.skip("mixers of this kind are not stacked")
    step = session.backward(torch.stack(models, dim=2))
    for model, rows_LRD in enumerate(models):
        alone = mixed(mixer, rows_LRD)
        grad_LD = torch.stack([p.grad[model] for p in session.parameters])
        close(grad_LD, alone.grad_LD, rtol=1e3 * EPSILON, atol=0)
        if mixer.guided:
            for name in ("weights_LK", "cosines_L", "rho", "eta"):
                close(getattr(step, name)[model], getattr(alone.step, name))


@every
def test_a_state_continues_bit_for_bit(mixer):
    steps = [rows_of(3, families=PLAIN, seed=seed) for seed in range(4)]
    steps[-1][::2, -1] = 0  # layers that the target has learned by heart
    whole, resumed = Session(mixer, steps[0]), Session(mixer, steps[0])
    for rows_LRD in steps[:-1]:
        whole.mix(rows_LRD)
    resumed.mixer.load_state_dict(state_of(whole.mixer))
    expected, after = whole.mix(steps[-1]), resumed.mix(steps[-1])
    assert torch.equal(after.grad_LD, expected.grad_LD)
    assert torch.equal(after.weights_LK, expected.weights_LK)
    state = state_of(whole.mixer)
    assert state_of(resumed.mixer).keys() == state.keys()


@every
@counts
def test_no_value_is_read_in_a_step(mixer, sources):
    """Tensors on the meta device have shapes and dtypes only; whatever reads a value raises."""
    rows_LRD = rows_of(sources).to("meta")
    session = Session(mixer, rows_LRD)
    without_check(session.mixer)
    optimizer = torch.optim.SGD(session.parameters, lr=0.1, momentum=0.9)
    for _ in range(2):
        session.backward(rows_LRD)
        session.mixer.step(optimizer)
    assert all(p.grad is not None for p in session.parameters)


def test_the_device_and_precision_named_are_used():
    assert mixed(MIXERS["GradMix"], rows_of(2)).grad_LD.device.type == DEVICE.type
