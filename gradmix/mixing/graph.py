"""Walks a loss's autograd graph down to the parameters that it reaches."""

from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from gradmix.mixing.joint.recording import Recording


@dataclass(frozen=True)
class Reached:
    """The trainable leaves below a loss, and the joint forward passes (`forward_together`) that it comes from.

    Attributes:
        nodes: all other nodes of its graph.
        leaves: in the order in which a walk from the loss meets them; not those below a joint forward pass.
        outputs: the autograd nodes behind the joint passes' outputs that the loss uses; each has the pass's
            recording as ``joint``, and its ``part``.
    """

    nodes: set[Any]
    leaves: list[nn.Parameter]
    outputs: list[Any]


def reached_by(loss: Tensor) -> Reached:
    """Walk the graph of ``loss`` down to its leaves and joint forward passes.

    Torch's own ``autograd.grad`` needs a list of the parameters to look at; users who had to list every head would
    forget one.
    """
    if loss.grad_fn is None:
        return Reached(set(), [cast(nn.Parameter, loss)] if loss.requires_grad else [], [])
    nodes: set[Any] = set()
    leaves: dict[nn.Parameter, None] = {}
    outputs: list[Any] = []
    stack: list[Any] = [loss.grad_fn]
    seen: set[Any] = {loss.grad_fn}
    while stack:
        node = stack.pop()
        if isinstance(getattr(node, "joint", None), Recording):
            outputs.append(node)
            continue
        if hasattr(node, "variable"):
            leaves[cast(nn.Parameter, node.variable)] = None
        else:
            nodes.add(node)
        for child, _ in node.next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                stack.append(child)
    return Reached(nodes, list(leaves), outputs)
