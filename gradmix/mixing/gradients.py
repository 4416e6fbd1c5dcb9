"""One loss's gradients by parameter, and all of them as one flat tensor.

Shapes: R losses (the sources, then the target), P parameters of all layers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gradmix.mixing.graph import leaves_of
from gradmix.mixing.layers import Layer

Gradients = dict[nn.Parameter, Tensor]


def gradients_of(
    loss: Tensor, name: str, wanted: set[int] | None, *, retain_graph: bool
) -> Gradients:
    """Gradients of one loss with respect to the parameters that it reaches.

    Args:
        loss: scalar.
        name: of its source, for messages.
        wanted: ids of the parameters to look at; ``None``: all that the loss reaches.
        retain_graph: keep the graph, as in ``Tensor.backward``.

    Raises:
        ValueError: if the loss is no scalar or reaches no parameter.
    """
    if loss.numel() != 1:
        raise ValueError(f"the loss of {name} must be a scalar, but has shape {tuple(loss.shape)}")
    reached = [p for p in leaves_of(loss) if wanted is None or id(p) in wanted]
    if not reached:
        raise ValueError(f"the loss of {name} depends on no trainable parameter")
    # A function of somebody else's may give no gradient to a parameter that is in its graph.
    gradients = torch.autograd.grad(loss, reached, retain_graph=retain_graph, allow_unused=True)
    pairs = zip(reached, gradients, strict=True)
    return {parameter: gradient for parameter, gradient in pairs if gradient is not None}


def flatten(
    gradients: Sequence[Gradients], layers: Sequence[Layer], *, extra: int = 0
) -> tuple[Tensor, Tensor]:
    """flat_RP: one row per loss; the only copy of the gradients that is made.

    Behind it, in the same memory, lie ``extra`` numbers more, for what is to travel with it.
    """
    parameters = [p for layer in layers for p in layer.parameters]
    dtype = parameters[0].dtype
    for parameter in parameters[1:]:
        dtype = torch.promote_types(dtype, parameter.dtype)
    total = sum(p.numel() for p in parameters)
    size = len(gradients) * total
    whole = torch.empty(size + extra, dtype=dtype, device=parameters[0].device)
    flat_RP, tail = whole[:size].view(len(gradients), total), whole[size:]
    for row_P, row in zip(flat_RP, gradients, strict=True):
        parts = [
            row[p].detach().reshape(-1).to(dtype) if p in row else row_P.new_zeros(p.numel())
            for p in parameters
        ]
        torch.cat(parts, out=row_P)
    return flat_RP, tail


def add_to_grad(parameter: nn.Parameter, flat: Tensor) -> None:
    """Add a flattened gradient to ``.grad``, as ``Tensor.backward`` does."""
    # Laid out like the parameter, as torch's own: fused optimizers take both as flat memory.
    gradient = torch.empty_like(parameter, requires_grad=False).copy_(flat.view(parameter.shape))
    if parameter.grad is None:
        parameter.grad = gradient
    else:
        parameter.grad.add_(gradient)


def added(first: Gradients, second: Gradients) -> Gradients:
    """The sum of two gradients, which may reach different parameters."""
    total = dict(first)
    for parameter, gradient in second.items():
        total[parameter] = total[parameter] + gradient if parameter in total else gradient
    return total
