"""The parameters that a loss reaches, read from its autograd graph."""

from typing import cast

from torch import Tensor, nn


def leaves_of(loss: Tensor) -> list[nn.Parameter]:
    """Trainable leaves below ``loss``, in the order in which a walk from the loss meets them.

    Torch's own ``autograd.grad`` wants to be told which parameters to look at; a front door that asks the user for
    every head would be easy to hold wrong.
    """
    if loss.grad_fn is None:
        return [cast(nn.Parameter, loss)] if loss.requires_grad else []
    leaves: dict[nn.Parameter, None] = {}
    stack = [loss.grad_fn]
    seen = {loss.grad_fn}
    while stack:
        node = stack.pop()
        if hasattr(node, "variable"):
            leaves[cast(nn.Parameter, node.variable)] = None
        for child, _ in node.next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                stack.append(child)
    return list(leaves)
