"""What a loss reaches, read from its autograd graph."""

from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from gradmix.mixing.together.recording import Recording


@dataclass(frozen=True)
class Reached:
    """The trainable leaves below a loss, and the joint forward passes (`forward_together`) that it comes from.

    Attributes:
        nodes: of its graph, but for leaves and joint forward passes.
        leaves: in the order in which a walk from the loss meets them; not those below a joint forward pass.
        parts: of each joint forward pass, by the autograd node behind it, which inputs' outputs the loss uses.
    """

    nodes: set[Any]
    leaves: list[nn.Parameter]
    parts: dict[Any, list[int]]


def reached_by(loss: Tensor) -> Reached:
    """Walk the graph of ``loss``.

    Torch's own ``autograd.grad`` wants to be told which parameters to look at; a front door that asks the user for
    every head would be easy to hold wrong.
    """
    if loss.grad_fn is None:
        return Reached(set(), [cast(nn.Parameter, loss)] if loss.requires_grad else [], {})
    nodes: set[Any] = set()
    leaves: dict[nn.Parameter, None] = {}
    parts: dict[Any, list[int]] = {}
    stack: list[tuple[Any, int]] = [(loss.grad_fn, loss.output_nr)]
    seen: set[Any] = {loss.grad_fn}
    while stack:
        node, output = stack.pop()
        if isinstance(getattr(node, "recording", None), Recording):
            parts.setdefault(node, []).append(output)
            continue
        if hasattr(node, "variable"):
            leaves[cast(nn.Parameter, node.variable)] = None
        else:
            nodes.add(node)
        for child, number in node.next_functions:
            if child is None:
                continue
            # Each output of a joint forward pass counts by itself; all other nodes are walked through once.
            key = (child, number) if hasattr(child, "recording") else child
            if key not in seen:
                seen.add(key)
                stack.append((child, number))
    return Reached(nodes, list(leaves), {node: sorted(found) for node, found in parts.items()})
