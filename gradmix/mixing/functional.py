"""Mixing without a model: gradients of each source and of the target in, their mixture out."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from gradmix.mixing.gram import LayerStatistics, statistics
from gradmix.mixing.rows import TensorRows, gram
from gradmix.mixing.solvers.exact import exact_weights

Gradient = Mapping[str, Tensor]
"""One loss's gradients by the parameters' names, as ``torch.func.grad`` gives them for a dictionary of parameters."""


def largest_cosine(stats: LayerStatistics) -> Tensor:
    """Weigh as GradMix does: weights_LK of largest cosine with the target (Eq. 7)."""
    return exact_weights(stats.gram_LKK, stats.target_LK, mask_LK=stats.mask_LK)


def mix(
    gradients: Mapping[str, Gradient] | Sequence[Gradient],
    target: Gradient,
    layers: Mapping[str, Sequence[str]] | None = None,
    *,
    weigh: Callable[[LayerStatistics], Tensor] = largest_cosine,
) -> tuple[dict[str, Tensor], Tensor]:
    """Mix the sources' gradients, ``sum_i w_i^l g_i^l``, and give the weights as well.

    Args:
        gradients: each source's, by name or in order.
        target: the gradient that guides.
        layers: names of the parameters that are one vector, by layer; ``None``: every parameter is a layer.
        weigh: from statistics to weights_LK; any mixer's ``weigh`` will do.

    Returns:
        The mixed gradient, by the names in the layers, and weights_LK (float64) of L layers and K sources.

    Raises:
        ValueError: if there is no source, or a gradient lacks a name.
    """
    sources = gradients if isinstance(gradients, Mapping) else dict(enumerate(gradients))
    if not sources:
        raise ValueError("there must be at least one source, but got none")
    layers = {name: [name] for name in target} if layers is None else layers
    every = [*sources.values(), target]
    for layer, names in layers.items():
        for name in names:
            if any(name not in gradient for gradient in every):
                raise ValueError(f"layer {layer}: not every gradient has {name!r}")
    rows = {
        name: TensorRows([gradient[name] for gradient in every])
        for names in layers.values()
        for name in names
    }
    like = next(iter(target.values()))
    with torch.no_grad():
        gram_LRR = gram([[rows[n] for n in names] for names in layers.values()], len(every), like)
        stats = statistics(
            gram_LRR,
            torch.ones(len(layers), len(sources), dtype=torch.bool, device=like.device),
            like.new_full((len(sources),), torch.nan, dtype=torch.float64),
            len(layers),
            tuple(layers),
            tuple(map(str, sources)),
        )
        weights_LK = weigh(stats)
        mixed: dict[str, Tensor] = {}
        for weights_K, names in zip(weights_LK, layers.values(), strict=True):
            for name in names:
                whole = rows[name].mixed(weights_K.unbind())
                assert whole is not None
                mixed[name] = whole.to(target[name].dtype)
    return mixed, weights_LK
