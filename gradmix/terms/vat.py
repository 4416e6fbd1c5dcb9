"""Virtual adversarial training on unlabelled images (Miyato et al. 2018).

T. Miyato, S. Maeda, M. Koyama, S. Ishii, "Virtual Adversarial Training: A Regularization Method for Supervised and
Semi-Supervised Learning", TPAMI 2018.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gradmix.terms.context import Context
from gradmix.terms.term import Stateless


class VAT(Stateless):
    """``weight * KL(p(.|x) || p(.|x + r))`` with the small r that changes the prediction most; no labels.

    The direction of r is the top eigenvector of the KL's Hessian in r, by power iteration from a random start:
    ``d <- grad_d KL(p(.|x) || p(.|x + xi d / ||d||))``; ``r = epsilon d / ||d||`` for every image. p(.|x) is a
    constant. The perturbed passes normalise by their own mini-batch and leave running statistics as they are.

    Args:
        weight: factor of the loss.
        epsilon: length of r for images in [-1, 1] (the authors' value for SVHN, 2.5, is for images of width 1).
        xi: length of the probing step; float32 needs more than the original's 1e-6.
        iterations: of the power method.
    """

    reads_features = True

    def __init__(self, weight: float, epsilon: float, xi: float, iterations: int) -> None:
        if not (epsilon > 0 and xi > 0 and iterations >= 1 and weight >= 0):
            raise ValueError(
                f"vat needs epsilon > 0, xi > 0, iterations >= 1 and weight >= 0, but got "
                f"{epsilon}, {xi}, {iterations} and {weight}"
            )
        self.weight = weight
        self.epsilon = epsilon
        self.xi = xi
        self.iterations = iterations

    def __call__(self, context: Context) -> Tensor:
        """Compute the loss, the mean over the mini-batch."""
        clean_BC = context.logits_BC.detach()
        direction = self.direction(context, clean_BC)
        perturbed_BC = context.extra_logits(context.inputs + self.epsilon * direction)
        return self.weight * _divergence(clean_BC, perturbed_BC)

    def direction(self, context: Context, clean_BC: Tensor) -> Tensor:
        """Search the direction of r by power iteration: length 1 per image, shaped like the images."""
        direction = _unit(torch.randn_like(context.inputs))
        for _ in range(self.iterations):
            probe = (self.xi * direction).requires_grad_()
            change = _divergence(clean_BC, context.extra_logits(context.inputs + probe))
            (gradient,) = torch.autograd.grad(change, probe)
            direction = _unit(gradient)
        return direction


def _divergence(clean_BC: Tensor, other_BC: Tensor) -> Tensor:
    """KL(softmax(clean) || softmax(other)), the mean over B."""
    log_clean_BC = functional.log_softmax(clean_BC, dim=1)
    log_other_BC = functional.log_softmax(other_BC, dim=1)
    return functional.kl_div(log_other_BC, log_clean_BC, reduction="batchmean", log_target=True)


def _unit(images: Tensor) -> Tensor:
    """Every image divided by its Euclidean norm; first by its largest entry, so that squares cannot underflow."""
    flat = images.detach().flatten(1)
    flat = flat / flat.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(flat.dtype).tiny)
    unit: Tensor = functional.normalize(flat).view_as(images)
    return unit


def make(options: Mapping[str, Any]) -> VAT:
    """Build the term from its options in the registry.

    Raises:
        ValueError: if an option is out of range.
    """
    return VAT(options["weight"], options["epsilon"], options["xi"], int(options["iterations"]))
