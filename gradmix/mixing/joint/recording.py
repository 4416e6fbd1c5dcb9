"""Records one joint forward pass, and keeps apart the gradients of its backward pass.

Shapes: S parts (the inputs of the pass), R losses.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gradmix.mixing.joint.factor_rows import FactorRows, Owners
from gradmix.mixing.rows import Gradients, Rows, TensorRows, added, summed


class Recording:
    """Shared by all operations of a joint forward pass.

    Args:
        sizes: images of each part.
        anchor: an input of every operation, so that a backward pass to it visits them all.

    Attributes:
        apart: whether operations give their parameters' gradients part by part to `add` in a backward pass, or
            return their sum over all parts, as torch does.
        output: the output of the pass, (N, ...).
        parameters: those that operations of the pass use, in order.
    """

    def __init__(self, sizes: Sequence[int], anchor: Tensor) -> None:
        self.sizes = list(sizes)
        self.anchor = anchor
        self.apart = False
        self.output: Tensor | None = None
        self.parameters: dict[nn.Parameter, None] = {}
        self._owners = Owners((), 0)
        self._parts: dict[nn.Parameter, list[Tensor | None]] = {}
        self._rows: Gradients = {}

    # ---- called by operations, in a backward pass

    def add(self, parameter: nn.Parameter, parts: Sequence[Tensor | None]) -> None:
        """Add the parameter's gradient from each of the S parts."""
        old = self._parts.get(parameter)
        if old is not None:  # used twice in the pass
            parts = added(TensorRows(old), TensorRows(parts)).tensors()
        self._parts[parameter] = list(parts)

    def add_factors(
        self, parameter: nn.Parameter, inputs: Tensor, errors: Tensor, counts: Sequence[int]
    ) -> None:
        """Add the gradient of a linear map's weight by its factors; ``counts``: rows of each part."""
        rows: Rows = FactorRows(self._owners, inputs, errors, counts)
        self._rows = summed(self._rows, {parameter: rows})

    # ---- called by the mixer

    def gradients(
        self,
        grads_by_loss: Sequence[Mapping[int, Tensor]],
        wanted: set[int] | None,
        *,
        retain_graph: bool,
    ) -> Gradients:
        """Take every loss's gradient with respect to the parameters used in the pass.

        Args:
            grads_by_loss: for each of the R losses, its gradient with respect to the output of each part it uses.
            wanted: ids of the parameters to look at; ``None``: all.
            retain_graph: keep the graph, as in ``Tensor.backward``.
        """
        assert self.output is not None
        owners = [
            [row for row, grads in enumerate(grads_by_loss) if part in grads]
            for part in range(len(self.sizes))
        ]
        if any(len(users) > 1 for users in owners):
            return self._one_by_one(grads_by_loss, wanted, retain_graph)
        rows = tuple(users[0] if users else None for users in owners)
        self._owners = Owners(rows, len(grads_by_loss))
        error = self._error({part: g for grads in grads_by_loss for part, g in grads.items()})
        self.apart = True
        try:
            torch.autograd.grad(
                self.output, self.anchor, error, retain_graph=retain_graph, allow_unused=True
            )
            held = {p: TensorRows(self._owners.by_loss(row)) for p, row in self._parts.items()}
            gradients = summed(held, self._rows)
        finally:
            self.apart, self._parts, self._rows = False, {}, {}
        return {p: row for p, row in gradients.items() if wanted is None or id(p) in wanted}

    def _one_by_one(
        self,
        grads_by_loss: Sequence[Mapping[int, Tensor]],
        wanted: set[int] | None,
        retain_graph: bool,
    ) -> Gradients:
        """Back-propagate the losses one after another, where several use one part."""
        assert self.output is not None
        parameters = [p for p in self.parameters if wanted is None or id(p) in wanted]
        rows: dict[nn.Parameter, list[Tensor | None]] = {p: [] for p in parameters}
        for index, grads in enumerate(grads_by_loss):
            last = index == len(grads_by_loss) - 1
            gradients = torch.autograd.grad(
                self.output,
                parameters,
                self._error(grads),
                retain_graph=retain_graph or not last,
                allow_unused=True,
            )
            for parameter, gradient in zip(parameters, gradients, strict=True):
                rows[parameter].append(gradient if grads else None)
        held = {parameter: TensorRows(tensors) for parameter, tensors in rows.items()}
        return {parameter: row for parameter, row in held.items() if any(row.reached)}

    def _error(self, grads: Mapping[int, Tensor]) -> Tensor:
        """Join the losses' gradients with respect to the output, zero for parts that they do not use."""
        assert self.output is not None
        pieces = self.output.detach().split(self.sizes)
        return torch.cat(
            [grads.get(part, torch.zeros_like(piece)) for part, piece in enumerate(pieces)]
        )
