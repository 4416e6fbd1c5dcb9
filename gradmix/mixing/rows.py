"""One parameter's gradients: a row for every loss of a step.

Shapes: L layers, R losses (the sources, then the target), P elements. Where ``lead`` is 1, tensors have several models'
parameters, gradients or numbers in front.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

# Elements of a piece in float64: R of them stay in a processor's cache, so the gradients are read from memory once
# and no second copy of them is made. A GPU has no use for small pieces.
_PIECE = {"cpu": 2**16}
_LARGEST_PIECE = 2**24


class Rows(Protocol):
    """The interface of one parameter's gradients, however they are kept."""

    @property
    def reached(self) -> tuple[bool, ...]:
        """Which of the R losses reach the parameter."""

    def tensors(self) -> list[Tensor | None]:
        """The R gradients themselves, each shaped like the parameter; ``None`` where the loss does not reach it."""

    def gram_RR(self) -> Tensor | None:  # noqa: N802
        """Inner products of the rows, float64; ``None``: they are to be taken from `tensors`."""

    def mixed(self, factors: Sequence[Tensor]) -> Tensor | None:
        """The sum of the first ``len(factors)`` rows, each times its factor (scalar tensors); ``None``: no row."""


class TensorRows:
    """Holds each loss's gradient as a tensor."""

    def __init__(self, tensors: Sequence[Tensor | None]) -> None:
        self._tensors = list(tensors)

    @property
    def reached(self) -> tuple[bool, ...]:
        """Which of the R losses reach the parameter."""
        return tuple(tensor is not None for tensor in self._tensors)

    def tensors(self) -> list[Tensor | None]:
        """The tensors that it holds."""
        return self._tensors

    def gram_RR(self) -> Tensor | None:  # noqa: N802
        """Leave them to `gram`, which takes the layer's parameters at once."""
        return None

    def mixed(self, factors: Sequence[Tensor]) -> Tensor | None:
        """Mix in float32 at least, into a new tensor, since autograd may share what it returns."""
        mixture: Tensor | None = None
        for factor, row in zip(factors, self._tensors, strict=False):
            if row is None:
                continue
            row = row.detach()
            if row.dtype.itemsize < 4:
                row = row.float()
            if factor.dim():  # a factor for each model
                factor = over(factor, row).to(row.dtype)
            # Element by element, which never goes through TF32 matrix units.
            if mixture is None:
                mixture = row * factor
            else:
                mixture.addcmul_(row, factor)
        return mixture


def added(first: Rows, second: Rows) -> Rows:
    """Add two parts of a batch, row by row."""
    pairs = zip(first.tensors(), second.tensors(), strict=True)
    return TensorRows([b if a is None else a if b is None else a + b for a, b in pairs])


Gradients = dict[nn.Parameter, Rows]


def summed(first: Mapping[nn.Parameter, Rows], second: Mapping[nn.Parameter, Rows]) -> Gradients:
    """Add the gradients of two parts of a batch, which may reach different parameters."""
    total = dict(first)
    for parameter, rows in second.items():
        total[parameter] = added(total[parameter], rows) if parameter in total else rows
    return total


def over(values: Tensor, tensor: Tensor) -> Tensor:
    """Shape one number per model to go with a tensor of all models; a single number stays."""
    if values.dim() == 0:
        return values
    return values.view(*values.shape, *[1] * (tensor.dim() - values.dim()))


def gram(
    layers: Sequence[Sequence[Rows]],
    losses: int,
    like: Tensor,
    *,
    lead: int = 0,
    squares: bool = False,
) -> Tensor:
    """Compute gram_LRR: inner products of the R gradients over each layer's parameters, accumulated in float64.

    float64 for two reasons: cosines near zero decide which sources are active, and squares of gradients from
    1e-15 to 1e15 leave the range of float32. It also keeps TF32 and bfloat16 matrix units out whatever the global
    precision settings say.

    Args:
        layers: the rows of each layer's parameters.
        losses: R.
        like: a tensor on the device, for layers without parameters.
        lead: leading dimensions of models, which the result has in front, too.
        squares: only the products of rows with themselves; the others are NaN.
    """
    models = like.shape[:lead]
    parts: list[list[Tensor]] = []
    held: list[tuple[int, _Vectors]] = []
    for index, rows in enumerate(layers):
        known = [row.gram_RR() for row in rows]
        parts.append([gram_RR for gram_RR in known if gram_RR is not None])
        alone = [row.tensors() for row, gram in zip(rows, known, strict=True) if gram is None]
        held += [(index, _as_vectors(tensors, models)) for tensors in alone]
    largest = max(1, _PIECE.get(like.device.type, _LARGEST_PIECE) // models.numel())
    buffer_RP: Tensor | None = None
    # Small layers share a piece, so that a small network costs few calls; large ones have several.
    for piece in _pieces(held, largest):
        size = sum(part.stop - part.start for part in piece)
        if buffer_RP is None or buffer_RP.shape[-1] < size:
            buffer_RP = like.new_empty((*models, losses, size), dtype=torch.float64)
        for index, row_P in enumerate(buffer_RP[..., :size].unbind(-2)):
            vectors = [part.row(index, like, models) for part in piece]
            if len(vectors) == 1:
                row_P.copy_(vectors[0])
            else:
                torch.cat(vectors, dim=-1, out=row_P)
        start = 0
        for layer, parts_of_layer in groupby(piece, key=lambda part: part.layer):
            stop = start + sum(part.stop - part.start for part in parts_of_layer)
            rows_Rp = buffer_RP[..., start:stop]
            if squares:
                parts[layer].append(rows_Rp.square().sum(-1).diag_embed())
            else:
                parts[layer].append(rows_Rp @ rows_Rp.mT)
            start = stop
    zero_RR = like.new_zeros((*models, losses, losses), dtype=torch.float64)
    gram_LRR = torch.stack([_sum(own) if own else zero_RR for own in parts], dim=lead)
    if squares:
        others_RR = ~torch.eye(losses, dtype=torch.bool, device=like.device)
        gram_LRR.masked_fill_(others_RR, torch.nan)
    return gram_LRR


_Vectors = list[Tensor | None]


class _Part(NamedTuple):
    """A range of one parameter's rows."""

    layer: int
    vectors: _Vectors
    start: int
    stop: int

    def row(self, index: int, like: Tensor, models: torch.Size) -> Tensor:
        """Give one loss's part; zeros where the loss does not reach the parameter."""
        vector = self.vectors[index]
        if vector is None:
            return like.new_zeros((*models, self.stop - self.start))
        whole = self.stop - self.start == vector.shape[-1]
        return vector if whole else vector[..., self.start : self.stop]


def _pieces(held: Sequence[tuple[int, _Vectors]], largest: int) -> Iterator[list[_Part]]:
    """Part the parameters into pieces of at most ``largest`` elements."""
    piece: list[_Part] = []
    free = largest
    for layer, vectors in held:
        size = next(vector.shape[-1] for vector in vectors if vector is not None)
        start = 0
        while start < size:
            stop = min(size, start + free)
            piece.append(_Part(layer, vectors, start, stop))
            free -= stop - start
            start = stop
            if free == 0:
                yield piece
                piece, free = [], largest
    if piece:
        yield piece


def _sum(tables: Sequence[Tensor]) -> Tensor:
    return tables[0] if len(tables) == 1 else torch.stack(list(tables)).sum(dim=0)


def _as_vectors(tensors: Sequence[Tensor | None], models: torch.Size) -> _Vectors:
    """Flatten the rows in one order: that of memory where they share it, which costs no copy."""
    rows = [None if tensor is None else tensor.detach() for tensor in tensors]
    if models:
        return [None if row is None else row.reshape(*models, -1) for row in rows]
    there = [row for row in rows if row is not None]
    dense = len({row.stride() for row in there}) == 1 and _is_dense(there[0])
    size = (there[0].numel(),)
    return [
        None if row is None else row.as_strided(size, (1,)) if dense else row.reshape(-1)
        for row in rows
    ]


def _is_dense(tensor: Tensor) -> bool:
    return tensor.is_contiguous() or (
        tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    )


def put(parameter: nn.Parameter, gradient: Tensor) -> None:
    """Add a gradient to ``.grad``, as ``Tensor.backward`` does."""
    gradient = gradient.to(parameter.dtype)
    if parameter.grad is not None:
        parameter.grad.add_(gradient)
    elif gradient.stride() == parameter.stride():
        parameter.grad = gradient
    else:
        # With the strides of the parameter, as torch's own: fused optimizers take both as flat memory.
        parameter.grad = torch.empty_like(parameter, requires_grad=False).copy_(gradient)
