"""The paper's solver: NLopt's SLSQP on the sum of the layers' cosines, or layer by layer.

Shape suffixes: L layers of all leading dimensions together, K sources. Host code: slow, and waits for the device.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradmix.mixing.solvers.problem import cancellation_tolerance, standardise, to_weights

Array = NDArray[np.float64]
Objective = Callable[[Array, Array], float]

# Relative change of the objective at which SLSQP stops; the paper names none.
OBJECTIVE_TOLERANCE = 1e-10
LARGEST_NUMBER_OF_EVALUATIONS = 500


@torch.no_grad()
def slsqp_weights(
    gram_LKK: Tensor,
    target_LK: Tensor,
    *,
    mask_LK: Tensor | None = None,
    joint: bool = True,
    target_norm_L: Tensor | None = None,
    seconds: float | None = None,
) -> Tensor:
    """Weights w >= 0, summing to 1, that maximise sum_l cos(sum_i w_i^l g_i^l, v^l) by LD_SLSQP.

    Eq. 4-7 of the GradMix paper (arXiv 2002.03264) with its solver, started at uniform weights. It finds a
    local maximum; there can be several where all sources oppose the target.

    Args:
        gram_LKK: inner products <g_i, g_j> of the K source gradients, any leading dimensions.
        target_LK: inner products <g_i, v> with the target gradient.
        mask_LK: True where source i owns parameters of the layer (default: everywhere).
        joint: solve for all layers (of all leading dimensions) in one problem, as the paper does, or layer
            by layer; both have the same maximiser.
        target_norm_L: ||v||, which fixes the layers' shares in the joint sum. Without it every layer's
            cosine is divided by that of its most or least aligned source; the maximiser is the same.
        seconds: stop each solve after about this long with the best point so far (default: never). The
            joint problem's time grows with the cube of L K: minutes for 62 layers of 8 sources.

    Returns:
        weights_LK in the dtype and on the device of `gram_LKK`, with the degenerate cases of `exact_weights`.

    The variables are w_i ||g_i||, so that sources of very different scale do not stop the solver; the
    gradient is analytic.

    Raises:
        ImportError: nlopt is not installed.
        ValueError: shapes or dtypes do not fit, or NaN or infinity in the input.
    """
    nlopt = _import_nlopt()
    mask = None if mask_LK is None else mask_LK.cpu()
    problem = standardise(gram_LKK.cpu(), target_LK.cpu(), mask)
    active_LK = problem.active_BK.numpy()
    # Rows of excluded sources become zero, so that their variables have no influence.
    correlation_LKK = problem.correlation_BKK.numpy() * active_LK[:, :, None]
    cosine_LK = problem.cosine_BK.numpy()
    if target_norm_L is not None:
        norm_L1 = target_norm_L.cpu().double().reshape(-1, 1).numpy()
        cosine_LK = cosine_LK * problem.largest_B1.numpy() / np.where(norm_L1 > 0.0, norm_L1, 1.0)
    with np.errstate(divide="ignore"):
        norm_LK = np.where(active_LK, 1.0 / problem.inverse_norm_BK.numpy(), 0.0)
    largest_L1 = norm_LK.max(-1, keepdims=True)
    start_LK = norm_LK / np.where(largest_L1 > 0.0, largest_L1, 1.0)
    floor = cancellation_tolerance(problem.dtype)

    if joint:
        objective = _joint_objective(correlation_LKK, cosine_LK, floor)
        mixture_LK = _maximise(nlopt, objective, start_LK.ravel(), seconds).reshape(cosine_LK.shape)
    else:
        mixture_LK = np.empty_like(cosine_LK)
        for layer in range(len(cosine_LK)):
            objective = _layer_objective(correlation_LKK[layer], cosine_LK[layer], floor)
            mixture_LK[layer] = _maximise(nlopt, objective, start_LK[layer], seconds)
    return to_weights(problem, torch.from_numpy(mixture_LK)).to(gram_LKK.device)


def _layer_objective(correlation_KK: Array, cosine_K: Array, floor: float) -> Objective:
    """c^T x / sqrt(x^T R x) and its gradient for one layer; 0 where the mixture cancels."""

    def objective(x_K: Array, gradient_K: Array) -> float:
        image_K = correlation_KK @ x_K
        square = float(x_K @ image_K)
        total = float(x_K.sum())
        if not square > floor * total * total:
            gradient_K[:] = 0.0
            return 0.0
        inverse_norm = square**-0.5
        value = float(cosine_K @ x_K) * inverse_norm
        if gradient_K.size:
            gradient_K[:] = (cosine_K - (value * inverse_norm) * image_K) * inverse_norm
        return value

    return objective


def _joint_objective(correlation_LKK: Array, cosine_LK: Array, floor: float) -> Objective:
    """The sum over layers of c^T x / sqrt(x^T R x), and its gradient."""

    def objective(x: Array, gradient: Array) -> float:
        x_LK = x.reshape(cosine_LK.shape)
        image_LK = np.matmul(correlation_LKK, x_LK[:, :, None])[:, :, 0]
        square_L = (x_LK * image_LK).sum(-1)
        sound_L = square_L > floor * x_LK.sum(-1) ** 2
        inverse_norm_L = np.where(sound_L, 1.0 / np.sqrt(np.where(sound_L, square_L, 1.0)), 0.0)
        value_L = (cosine_LK * x_LK).sum(-1) * inverse_norm_L
        if gradient.size:
            slope_LK = cosine_LK - (value_L * inverse_norm_L)[:, None] * image_LK
            gradient[:] = (slope_LK * inverse_norm_L[:, None]).ravel()
        return float(value_L.sum())

    return objective


def _maximise(nlopt: Any, objective: Objective, start: Array, seconds: float | None) -> Array:
    """The best point that SLSQP visits; it may stop early where round-off keeps it from going on."""
    best_value, best = -np.inf, start

    def watched(x: Array, gradient: Array) -> float:
        nonlocal best_value, best
        value = objective(x, gradient)
        if value > best_value:
            best_value, best = value, x.copy()
        return value

    solver = nlopt.opt(nlopt.LD_SLSQP, start.size)
    solver.set_lower_bounds(0.0)
    solver.set_max_objective(watched)
    solver.set_ftol_rel(OBJECTIVE_TOLERANCE)
    solver.set_maxeval(LARGEST_NUMBER_OF_EVALUATIONS)
    if seconds is not None:
        solver.set_maxtime(seconds)
    # NLopt so reports a line search that got stuck; the best point seen is a valid answer. Older
    # versions raise the built-in RuntimeError, newer ones a class of their own.
    failure = getattr(nlopt, "runtime_error", RuntimeError)
    with contextlib.suppress(nlopt.RoundoffLimited, RuntimeError, failure):
        solver.optimize(start)
    return np.maximum(best, 0.0)


def _import_nlopt() -> Any:
    try:
        import nlopt
    except ImportError as error:
        raise ImportError(
            'the solver "slsqp" needs nlopt: pip install nlopt (or use solver="exact")'
        ) from error
    return nlopt
