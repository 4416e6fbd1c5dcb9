"""One joint forward pass: what its backward pass has to keep apart, and what it has found.

Shapes: S parts (the inputs of the pass), R losses.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from gradmix.mixing.rows import Gradients, Rows, TensorRows, added, gram, summed

Keep = Literal["gradients", "gram"]


class Recording:
    """Shared by all operations of a joint forward pass.

    Args:
        sizes: images of each part.
        keep: whether the backward pass keeps the gradients of every loss, or of large layers only their inner
            products; then a second backward pass makes the mixture.

    Attributes:
        mode: what operations do in a backward pass: ``"plain"`` return the gradient of all parts' sum, as torch
            does; ``"apart"`` give it part by part to `add`; ``"mix"`` (behind a pass that kept inner products
            only) give the mixture of the parts to `add_mixture`.
        anchor: an input of every operation, so that a backward pass to it visits them all.
        output: of the pass, (N, ...).
    """

    def __init__(self, sizes: Sequence[int], keep: Keep) -> None:
        self.sizes = list(sizes)
        self.keep = keep
        self.mode: Literal["plain", "apart", "mix"] = "plain"
        self.anchor = torch.zeros((), requires_grad=True)
        self.output: Tensor | None = None
        self.parameters: dict[nn.Parameter, None] = {}
        self.row_of_part: list[int | None] = []
        self.losses = 0
        self._parts: dict[nn.Parameter, list[Tensor | None]] = {}
        self._rows: Gradients = {}
        self._factors: dict[nn.Parameter, Sequence[Tensor]] = {}
        self._mixtures: dict[nn.Parameter, Tensor] = {}
        self._again: tuple[Tensor, bool] | None = None

    # ---- called by operations, in a backward pass

    def add(self, parameter: nn.Parameter, parts: Sequence[Tensor | None]) -> None:
        """The parameter's gradient from each of the S parts."""
        old = self._parts.get(parameter)
        if old is not None:  # used twice in the pass
            parts = added(TensorRows(old), TensorRows(parts)).tensors()
        self._parts[parameter] = list(parts)

    def add_large(self, parameter: nn.Parameter, parts: Sequence[Tensor | None]) -> None:
        """As `add`, but of what `keep` keeps only inner products of."""
        if self.keep == "gradients":
            self.add(parameter, parts)
            return
        rows = TensorRows(self.by_loss(parts))
        gram_RR = gram([[rows]], self.losses, parameter)[0]
        self.add_rows(parameter, StreamedRows(self, parameter, rows.reached, gram_RR))

    def add_rows(self, parameter: nn.Parameter, rows: Rows) -> None:
        """The parameter's gradient from each loss."""
        self._rows = summed(self._rows, {parameter: rows})

    def add_mixture(self, parameter: nn.Parameter, mixture: Tensor) -> None:
        """The parameter's mixed gradient, in ``"mix"``."""
        self._mixtures[parameter] = mixture

    def factors_of_parts(self, factors: Sequence[Tensor]) -> list[Tensor]:
        """The factor of each part's gradient, from those of the losses; 0 for rows without a factor."""
        zero = torch.zeros_like(factors[0])
        return [
            zero if row is None or row >= len(factors) else factors[row] for row in self.row_of_part
        ]

    def planned(self, parameter: nn.Parameter) -> Sequence[Tensor] | None:
        """The losses' factors for a streamed parameter, in ``"mix"``."""
        return self._factors.get(parameter)

    # ---- called by the mixer

    def gradients(
        self,
        of_losses: Sequence[Mapping[int, Tensor]],
        wanted: set[int] | None,
        *,
        retain_graph: bool,
    ) -> Gradients:
        """Every loss's gradient with respect to the parameters used in the pass.

        Args:
            of_losses: for each of the R losses, its gradient with respect to the output of each part it uses.
            wanted: ids of the parameters to look at; ``None``: all.
            retain_graph: keep the graph, as in ``Tensor.backward``.
        """
        owners = [
            [row for row, grads in enumerate(of_losses) if part in grads]
            for part in range(len(self.sizes))
        ]
        if any(len(found) > 1 for found in owners):
            return self._one_by_one(of_losses, wanted, retain_graph)
        self.row_of_part = [found[0] if found else None for found in owners]
        self.losses = len(of_losses)
        error = self._error({part: g for grads in of_losses for part, g in grads.items()})
        keeps_gram = self.keep == "gram"
        self._run("apart", error, retain_graph or keeps_gram)
        self._again = (error, retain_graph) if keeps_gram else None
        parts, self._parts = self._parts, {}
        rows, self._rows = self._rows, {}
        held = {
            parameter: TensorRows(self.by_loss(tensors)) for parameter, tensors in parts.items()
        }
        found = summed(held, rows)
        return {p: r for p, r in found.items() if wanted is None or id(p) in wanted}

    def mixture(self, parameter: nn.Parameter) -> Tensor:
        """The mixed gradient of a streamed parameter; the first call makes those of all in a second backward pass."""
        if not self._mixtures:
            assert self._again is not None
            self._run("mix", *self._again)
            self._again = None
        return self._mixtures.pop(parameter)

    def plan(self, parameter: nn.Parameter, factors: Sequence[Tensor]) -> None:
        """The losses' factors of a streamed parameter."""
        self._factors[parameter] = factors

    def _run(self, mode: Literal["apart", "mix"], error: Tensor, retain_graph: bool) -> None:
        assert self.output is not None
        self.mode = mode
        try:
            torch.autograd.grad(
                self.output, self.anchor, error, retain_graph=retain_graph, allow_unused=True
            )
        finally:
            self.mode = "plain"

    def _one_by_one(
        self,
        of_losses: Sequence[Mapping[int, Tensor]],
        wanted: set[int] | None,
        retain_graph: bool,
    ) -> Gradients:
        """A part that several losses use: back-propagate them one after another, as without a joint pass."""
        assert self.output is not None
        parameters = [p for p in self.parameters if wanted is None or id(p) in wanted]
        rows: dict[nn.Parameter, list[Tensor | None]] = {p: [] for p in parameters}
        for index, grads in enumerate(of_losses):
            last = index == len(of_losses) - 1
            gradients = torch.autograd.grad(
                self.output,
                parameters,
                self._error(grads),
                retain_graph=retain_graph or not last,
                allow_unused=True,
            )
            for parameter, gradient in zip(parameters, gradients, strict=True):
                rows[parameter].append(gradient if grads else None)
        found = {parameter: TensorRows(tensors) for parameter, tensors in rows.items()}
        return {parameter: row for parameter, row in found.items() if any(row.reached)}

    def _error(self, grads: Mapping[int, Tensor]) -> Tensor:
        """The losses' gradient with respect to the whole output, zero where they do not use it."""
        assert self.output is not None
        pieces = self.output.detach().split(self.sizes)
        return torch.cat(
            [grads.get(part, torch.zeros_like(piece)) for part, piece in enumerate(pieces)]
        )

    def by_loss(self, parts: Sequence[Tensor | None]) -> list[Tensor | None]:
        """(S) to (R): a loss that uses several parts has the sum of their gradients."""
        rows: list[Tensor | None] = [None] * self.losses
        for row, part in zip(self.row_of_part, parts, strict=True):
            if row is not None and part is not None:
                old = rows[row]
                rows[row] = part if old is None else old + part
        return rows


class StreamedRows:
    """Rows of which only the inner products are held."""

    def __init__(
        self,
        recording: Recording,
        parameter: nn.Parameter,
        reached: tuple[bool, ...],
        gram_RR: Tensor,
    ) -> None:
        self._recording = recording
        self._parameter = parameter
        self._reached = reached
        self._gram_RR = gram_RR

    @property
    def reached(self) -> tuple[bool, ...]:
        """Which of the R losses reach the parameter."""
        return self._reached

    def tensors(self) -> list[Tensor | None]:
        """They are gone.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            'forward_together(keep="gram") keeps no gradients to add up over parts of a batch, over ranks, or with '
            'those of another use of the parameter; use keep="gradients"'
        )

    def gram_RR(self) -> Tensor:  # noqa: N802
        """Inner products."""
        return self._gram_RR

    def plan(self, factors: Sequence[Tensor]) -> None:
        """Keep the factors for the second backward pass."""
        self._recording.plan(self._parameter, factors)

    def mixed(self, factors: Sequence[Tensor]) -> Tensor | None:
        """From the second backward pass."""
        if not any(self._reached[: len(factors)]):
            return None
        return self._recording.mixture(self._parameter)
