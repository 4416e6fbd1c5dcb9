"""Refuses what a joint forward pass cannot keep apart, by a walk over the graph behind its output."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import get_gradient_edge

from gradmix.mixing.joint.recording import Recording

REMEDY = "run each input by itself, in separate passes"
HOOKED = (
    "activation checkpointing and other hooks on saved tensors run operations again, or change what they saved, "
    f"behind a joint forward pass; {REMEDY}"
)


def named_parameters(module: nn.Module) -> dict[int, str]:
    """Name the trainable parameters, by id, for messages: ``attention.in_proj_weight (of MultiheadAttention)``."""
    return {
        id(parameter): f"{prefix}.{name} (of {type(part).__name__})".lstrip(".")
        for prefix, part in module.named_modules()
        for name, parameter in part.named_parameters(recurse=False)
        if parameter.requires_grad
    }


def refuse_modules(module: nn.Module) -> None:
    """Refuse modules that leave no trace in the graph.

    Raises:
        ValueError: for a part that is torchscript or compiled, and for normalisation that averages over all batches.
    """
    for name, part in module.named_modules():
        called = f"{name or 'the module'} ({type(part).__name__})"
        compiled = type(part).__name__ == "OptimizedModule" or part._compiled_call_impl is not None
        if compiled or isinstance(part, torch.jit.ScriptModule):
            how = "compiled" if compiled else "torchscript"
            raise ValueError(
                f"{called} is {how}, which a joint forward pass cannot look into; give it the plain module, or {REMEDY}"
            )
        if isinstance(part, nn.modules.batchnorm._NormBase) and part.momentum is None:
            raise ValueError(
                f"{called} averages over all batches (momentum=None), which a joint forward pass cannot; give it a "
                f"momentum, or {REMEDY}"
            )


def refuse_inputs(inputs: Sequence[Tensor]) -> None:
    """Refuse inputs that require a gradient, which a joint pass does not give.

    Raises:
        ValueError: if an input requires one.
    """
    for index, x in enumerate(inputs):
        if x.requires_grad:
            raise ValueError(
                f"input {index} requires a gradient, which a joint forward pass gives to its own parameters only; "
                f"put what made it into the module, detach it, or {REMEDY}"
            )


def refuse_unrecorded(
    output: Tensor, recording: Recording, names: Mapping[int, str], hidden: Sequence[str]
) -> None:
    """Walk the graph behind the output: only operations of the recording may use trained parameters.

    Args:
        output: the joint pass's output.
        recording: its recording.
        names: names of parameters, by id.
        hidden: the parameters that were used where gradients are off.

    Raises:
        ValueError: if anything else does, with the name of the parameter.
    """
    stack: list[tuple[Any, Any, bool]] = [(get_gradient_edge(output).node, None, False)]
    seen: dict[Any, None] = {}
    while stack:
        node, user, recorded = stack.pop()
        if (leaf := getattr(node, "variable", None)) is not None:
            if leaf is not recording.anchor:
                known = recorded and leaf in recording.parameters
                name = names.get(id(leaf), f"a tensor of shape {tuple(leaf.shape)}")
                _check_leaf(leaf, name, None if known else _called(user or node))
        elif node not in seen:
            seen[node] = None
            if hasattr(node, "joint"):
                raise ValueError(f"a joint forward pass cannot hold another one; {REMEDY}")
            own = getattr(node, "recording", None) is recording
            # An operation's own input comes first, what it keeps apart behind it.
            below = enumerate(child for child, _ in node.next_functions)
            stack += [(child, node, own and at > 0) for at, child in below if child is not None]
    others = (n for n in seen if isinstance(n, BackwardCFunction) and not hasattr(n, "recording"))
    if hidden and (function := next(others, None)) is not None:
        raise ValueError(
            f"{hidden[0]} is used where gradients are off, and {_called(function)} may take them behind a joint "
            f"forward pass, as activation checkpointing does; {REMEDY}"
        )


def _check_leaf(leaf: Any, name: str, operation: str | None) -> None:
    if operation is not None:
        raise ValueError(
            f"{name} is used in an operation ({operation}) whose gradients a joint forward pass cannot keep apart; "
            f"{REMEDY}"
        )
    if leaf._backward_hooks:
        raise ValueError(
            f"{name} has a hook on its gradient, which a joint forward pass does not call; {REMEDY}"
        )


def _called(node: Any) -> str:
    return re.sub(r"Backward\d*$", "", node.name()).rpartition("::")[2]
