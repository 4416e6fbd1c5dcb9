"""What a joint forward pass cannot keep apart, found in the graph behind its output."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, jit, nn
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import get_gradient_edge

from gradmix.mixing.together.recording import Recording

REMEDY = "run each input by itself, in separate passes"
HOOKED = (
    "activation checkpointing and other hooks on saved tensors run operations again, or change what they saved, "
    f"behind a joint forward pass; {REMEDY}"
)


def named_parameters(module: nn.Module) -> dict[int, str]:
    """How messages call the trainable parameters, by id: ``attention.in_proj_weight (of MultiheadAttention)``."""
    return {
        id(parameter): f"{prefix}.{name} (of {type(part).__name__})".lstrip(".")
        for prefix, part in module.named_modules()
        for name, parameter in part.named_parameters(recurse=False)
        if parameter.requires_grad
    }


def refuse_modules(module: nn.Module) -> None:
    """Look for what leaves no trace in the graph.

    Raises:
        ValueError: for a part in torchscript, and for normalisation that averages over all batches.
    """
    for name, part in module.named_modules():
        called = f"{name or 'the module'} ({type(part).__name__})"
        if isinstance(part, jit.ScriptModule):
            raise ValueError(
                f"{called} is torchscript, which a joint forward pass cannot look into; {REMEDY}"
            )
        if isinstance(part, nn.modules.batchnorm._NormBase) and part.momentum is None:
            raise ValueError(
                f"{called} averages over all batches (momentum=None), which a joint forward pass cannot; give it a "
                f"momentum, or {REMEDY}"
            )


def refuse_inputs(inputs: Sequence[Tensor]) -> None:
    """A joint pass gives no gradient to what lies in front of it.

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
    """Walk the graph behind the output: only operations of the recording may use what is trained.

    Args:
        output: of the joint pass.
        recording: of the pass.
        names: of parameters, by id.
        hidden: the parameters that were used where gradients are off.

    Raises:
        ValueError: if anything else does, with the name of the parameter.
    """
    stack: list[tuple[Any, Any, bool]] = [(get_gradient_edge(output).node, None, False)]
    seen: set[Any] = set()
    while stack:
        node, user, recorded = stack.pop()
        if (leaf := getattr(node, "variable", None)) is not None:
            _check_leaf(leaf, user, recorded and leaf in recording.parameters, recording, names)
        elif node not in seen:
            seen.add(node)
            own = getattr(node, "recording", None) is recording
            if hidden and not own and isinstance(node, BackwardCFunction):
                raise ValueError(
                    f"{hidden[0]} is used where gradients are off, and {_called(node)} may take them again behind "
                    f"a joint forward pass, as activation checkpointing does; {REMEDY}"
                )
            # An operation's own input comes first, what it keeps apart behind it.
            below = enumerate(child for child, _ in node.next_functions)
            stack += [(child, node, own and at > 0) for at, child in below if child is not None]


def _check_leaf(
    leaf: Any, user: Any, recorded: bool, recording: Recording, names: Mapping[int, str]
) -> None:
    name = names.get(id(leaf), f"a tensor of shape {tuple(leaf.shape)}")
    if leaf is not recording.anchor and not recorded:
        use = "the output itself" if user is None else f"used by {_called(user)}"
        raise ValueError(
            f"{name} is {use}, whose gradients a joint forward pass cannot keep apart; {REMEDY}"
        )
    if leaf._backward_hooks:
        raise ValueError(
            f"{name} has a hook on its gradient, which a joint forward pass does not call; {REMEDY}"
        )


def _called(node: Any) -> str:
    return re.sub(r"Backward\d*$", "", node.name())
