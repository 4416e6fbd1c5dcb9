"""Cross entropy on randomly moved, turned, scaled and sheared images, which a network cannot learn by heart."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional

from gradmix.terms.augment import random_affine
from gradmix.terms.context import Context
from gradmix.terms.term import Stateless


class AugmentedCrossEntropy(Stateless):
    """Mean cross entropy of the changed images with their own labels; see `random_affine` for the options."""

    def __init__(self, shift: float, rotation: float, scale: float, shear: float) -> None:
        self.shift = shift
        self.rotation = rotation
        self.scale = scale
        self.shear = shear

    def __call__(self, context: Context) -> Tensor:
        """Change the images, and compute the loss on them."""
        images = random_affine(
            context.inputs,
            shift=self.shift,
            rotation=self.rotation,
            scale=self.scale,
            shear=self.shear,
        )
        return functional.cross_entropy(context.changed_logits(images), context.labels)


def make(options: Mapping[str, Any]) -> AugmentedCrossEntropy:
    """Build the term from its options in the registry."""
    return AugmentedCrossEntropy(**options)
