"""Takes every loss's gradients, by parameter: the rows that a mixer works on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from gradmix.mixing.graph import reached_by
from gradmix.mixing.joint.recording import Recording
from gradmix.mixing.rows import Gradients, Rows, TensorRows, summed


def gradients_of(
    losses: Sequence[Tensor], names: Sequence[str], wanted: set[int] | None, *, retain_graph: bool
) -> Gradients:
    """Take the gradients of every loss with respect to the parameters that any of them reaches.

    Losses whose features come from one joint forward pass (`gradmix.forward_together`) go through it
    in one backward pass; all others are back-propagated one by one. What the graphs of several losses share is kept
    until the last of them, and freed then.

    Args:
        losses: scalars, or vectors of several models' (the gradients of these have the models in front).
        names: their sources, for messages.
        wanted: ids of the parameters to look at; ``None``: all that the losses reach.
        retain_graph: keep the graphs, as in ``Tensor.backward``.

    Raises:
        ValueError: if a loss reaches no parameter, or a parameter has sparse gradients.
        RuntimeError: if a compiled network forbids to keep what several losses share.
    """
    wants = [_wants(loss, name, wanted) for loss, name in zip(losses, names, strict=True)]
    kept = _shared_with_earlier([nodes for nodes, *_ in wants])
    grads: list[tuple[Tensor | None, ...]] = [()] * len(losses)
    # The last graph that was built goes first, as in a plain backward pass, which needs the least memory.
    for index in reversed(range(len(losses))):
        _, leaves, edges, keep = wants[index]
        inputs: list[Any] = [*leaves, *(GradientEdge(node, 0) for node in edges)]
        # A function of somebody else's may give no gradient to a parameter that is in its graph.
        grads[index] = _grad(losses[index], inputs, retain_graph or keep or kept[index])
    rows: dict[nn.Parameter, list[Tensor | None]] = {}
    joint: dict[Recording, list[dict[int, Tensor]]] = {}
    for index, (_, leaves, edges, _) in enumerate(wants):
        for parameter, gradient in zip(leaves, grads[index], strict=False):
            if gradient is not None:
                if gradient.layout is not torch.strided:
                    raise ValueError(
                        f"a parameter of shape {tuple(parameter.shape)} has sparse gradients, which cannot be "
                        f"mixed; make its embedding with sparse=False"
                    )
                rows.setdefault(parameter, [None] * len(losses))[index] = gradient
        for node, gradient in zip(edges, grads[index][len(leaves) :], strict=True):
            if gradient is not None:
                joint.setdefault(node.joint, [{} for _ in losses])[index][node.part] = gradient
    gradients: Gradients = {parameter: TensorRows(row) for parameter, row in rows.items()}
    for recording, by_loss in joint.items():
        recorded = recording.gradients(by_loss, wanted, retain_graph=retain_graph)
        gradients = summed(recorded, gradients)
    return gradients


def _shared_with_earlier(nodes: Sequence[set[Any]]) -> list[bool]:
    """Say for each loss whether one before it in the list, which is back-propagated later, needs its graph."""
    earlier: set[Any] = set()
    shared = []
    for own in nodes:
        # Autocast makes one copy of a weight for all passes, a node without anything to keep.
        shared.append(any(node.name() != "ToCopyBackward0" for node in earlier & own))
        earlier |= own
    return shared


def _grad(loss: Tensor, inputs: Sequence[Any], retain_graph: bool) -> tuple[Tensor | None, ...]:
    try:
        # No loss of a model reaches another model's parameters, so their sum gives each its own gradient.
        return torch.autograd.grad(
            loss.sum() if loss.dim() else loss, inputs, retain_graph=retain_graph, allow_unused=True
        )
    except RuntimeError as error:
        if "donated buffer" not in str(error):
            raise
        raise RuntimeError(
            "several losses of one compiled forward pass need its graph more than once; set "
            "torch._functorch.config.donated_buffer = False before the network is compiled"
        ) from error


def _wants(
    loss: Tensor, name: str, wanted: set[int] | None
) -> tuple[set[Any], list[nn.Parameter], list[Any], bool]:
    """Nodes and leaves of a loss, the joint forward passes that it uses, and whether its graph must be kept."""
    reached = reached_by(loss)
    leaves = [p for p in reached.leaves if wanted is None or id(p) in wanted]
    edges = reached.outputs
    used = dict.fromkeys(p for node in edges for p in node.joint.parameters)
    by_itself = not used.keys().isdisjoint(leaves)
    if by_itself:
        # The loss runs the network by itself, too; torch cannot stop half-way for these parameters.
        joint = [p for p in used if wanted is None or id(p) in wanted]
        leaves, edges = list(dict.fromkeys([*leaves, *joint])), []
    if not leaves and not edges:
        raise ValueError(f"the loss of {name} depends on no trainable parameter")
    return reached.nodes, leaves, edges, by_itself


def flatten(
    gradients: Mapping[nn.Parameter, Rows],
    parameters: Iterable[nn.Parameter],
    *,
    extra: int = 0,
) -> tuple[Tensor, Tensor]:
    """Copy all gradients into flat_RP: a row per loss, parameter by parameter, zeros where a loss does not reach one.

    Behind it, in the same memory, lie ``extra`` numbers more, for what is to travel with it.
    """
    parameters = list(parameters)
    dtype = parameters[0].dtype
    for parameter in parameters[1:]:
        dtype = torch.promote_types(dtype, parameter.dtype)
    losses = len(next(iter(gradients.values())).reached)
    none: list[Tensor | None] = [None] * losses
    rows = [gradients[p].tensors() if p in gradients else none for p in parameters]
    total = sum(p.numel() for p in parameters)
    size = losses * total
    whole = torch.empty(size + extra, dtype=dtype, device=parameters[0].device)
    flat_RP, tail = whole[:size].view(losses, total), whole[size:]
    for index, row_P in enumerate(flat_RP):
        parts = [
            row_P.new_zeros(p.numel()) if (g := row[index]) is None else g.detach().reshape(-1).to(dtype)
            for p, row in zip(parameters, rows, strict=True)
        ]  # fmt: skip
        torch.cat(parts, out=row_P)
    return flat_RP, tail


def unflatten(
    flat_RP: Tensor, gradients: Mapping[nn.Parameter, Rows], parameters: Sequence[nn.Parameter]
) -> Gradients:
    """View the memory of `flatten` as gradients again; a loss reaches the same parameters as before."""
    pieces = flat_RP.split([p.numel() for p in parameters], dim=1)
    return {
        parameter: TensorRows(
            [
                row.view(parameter.shape) if reached else None
                for row, reached in zip(piece, gradients[parameter].reached, strict=True)
            ]
        )
        for parameter, piece in zip(parameters, pieces, strict=True)
        if parameter in gradients
    }
