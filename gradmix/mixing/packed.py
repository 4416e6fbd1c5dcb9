"""The mixers of several models as one: their losses and stacked parameters in, mixed gradients out.

Shapes: M models, L layers, K sources, R = K + 1 losses (the sources, then the target), p parameters of a layer. Tensors
of all models have M in front.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradmix.mixing.finite import FiniteCheck, NonFiniteGradientError
from gradmix.mixing.gram import LayerStatistics
from gradmix.mixing.mixer import GradientMixer, MixedStep

Row = list[Tensor | None]
"""One loss's gradients, by the position of the parameter; ``None``: the loss does not reach it."""


@dataclass(frozen=True)
class PackedStep:
    """What is to be done with the parameters.

    Attributes:
        gradients: mixed, by position; ``None``: no source reaches the parameter.
        rates: by position, what the learning rate is multiplied by, (M,); ``None``: nothing.
        report: as a `GradientMixer`'s, with M in front; ``None``: there is none.
        finite_MLR: which gradients are neither NaN nor Inf; ``None``: the losses tell.
    """

    gradients: Row
    rates: list[Tensor | None]
    report: MixedStep | None = None
    finite_MLR: Tensor | None = None


def common(mixer: GradientMixer) -> tuple[Any, ...]:
    """What mixers of any class must have in common to be one `PackedMixer`."""
    heads = None if mixer.heads is None else tuple(head.name for head in mixer.heads)
    return (
        type(mixer),
        tuple(layer.name for layer in mixer.layers),
        heads,
        mixer.last_layer,
        mixer.eta_on,
        mixer.eta_on_heads,
        tuple(mixer.source_names or ()),
    )


class PackedMixer:
    """A `GradientMixer` of M models whose ``weigh`` takes statistics with a leading M.

    A model whose gradients are not finite gets zero gradients and eta 0 at that step, and disturbs no other.

    Args:
        mixer: of one of the models, with what is each model's own as tensors (M,).
    """

    def __init__(self, mixer: GradientMixer) -> None:
        assert mixer.heads is not None
        assert not mixer.target_trains
        assert not mixer.sum_length
        self.mixer = mixer
        self._masks: dict[tuple[tuple[bool, ...], ...], Tensor] = {}

    def fault(self, finite_TLR: Tensor, begun: int) -> str | None:
        """Step, source and layer of the first gradient of one model that is not finite.

        Args:
            finite_TLR: its flags (`PackedStep.finite_MLR`) of T steps, on the CPU.
            begun: number of the first of these steps.
        """
        assert self.mixer.heads is not None
        layers = [layer.name for layer in [*self.mixer.layers, *self.mixer.heads]]
        count = finite_TLR.shape[-1] - 1
        names = self.mixer.source_names or [f"source {index}" for index in range(count)]
        try:
            for step, finite_LR in enumerate(finite_TLR, begun):
                FiniteCheck().submit(step, finite_LR, layers, [*names, "the target"])
        except NonFiniteGradientError as error:
            return str(error)
        return None

    def mix(
        self,
        losses_RM: Sequence[Tensor],
        parameters: Sequence[Tensor],
        positions: dict[int, int],
        *,
        retain_graph: bool = False,
    ) -> PackedStep:
        """One step of all models.

        Args:
            losses_RM: each model's loss on every source and, last, on its target.
            parameters: stacked over models.
            positions: of a parameter of the mixer's model among them, by its id.
            retain_graph: keep the graphs, as in ``Tensor.backward``.
        """
        rows = [gradients_of(loss_M, parameters, retain_graph) for loss_M in losses_RM]
        assert self.mixer.heads is not None
        layers = [
            [positions[id(p)] for p in layer.parameters]
            for layer in [*self.mixer.layers, *self.mixer.heads]
        ]
        shared = len(self.mixer.layers)
        mask_LK = self._mask(rows, layers, shared, losses_RM[0].device)
        # What is not finite becomes zero before the solver sees it, which has all models in one batch.
        gram_MLRR = torch.stack([_gram(rows, layer, len(losses_RM[0])) for layer in layers], dim=1)
        finite_MLR = gram_MLRR.diagonal(dim1=-2, dim2=-1).isfinite()
        finite_M = finite_MLR.flatten(1).all(dim=1)
        gram_MLRR = torch.where(finite_M[:, None, None, None], gram_MLRR, 0.0)
        stats = LayerStatistics(
            gram_LKK=gram_MLRR[..., :-1, :-1],
            target_LK=gram_MLRR[..., :-1, -1],
            target_norm_L=gram_MLRR[..., -1, -1].sqrt(),
            mask_LK=mask_LK,
            losses_K=torch.stack([loss.detach().double() for loss in losses_RM[:-1]], dim=1),
            shared=shared,
        )
        weights_MLK, cosines_ML, rho_M, eta_M = self.mixer.weigh(stats)
        eta_M = torch.where(finite_M, eta_M, torch.zeros_like(eta_M))
        gradients, rates = self._mixed(rows, layers, weights_MLK, eta_M, finite_M)
        report = MixedStep(
            weights_LK=weights_MLK[:, :shared],
            cosines_L=cosines_ML[:, :shared],
            rho=rho_M,
            eta=eta_M,
            head_weights_HK=weights_MLK[:, shared:],
            target_norm_L=stats.target_norm_L[:, :shared],
            source_norms_LK=stats.gram_LKK.diagonal(dim1=-2, dim2=-1).sqrt()[:, :shared],
        )
        return PackedStep(gradients, rates, report, finite_MLR)

    def _mask(
        self,
        rows: Sequence[Row],
        layers: Sequence[Sequence[int]],
        shared: int,
        device: torch.device,
    ) -> Tensor:
        """mask_LK; made once per pattern, since a new tensor from the host would make it wait."""
        pattern = tuple(
            tuple(index < shared or any(row[p] is not None for p in layer) for row in rows[:-1])
            for index, layer in enumerate(layers)
        )
        if pattern not in self._masks:
            self._masks[pattern] = torch.tensor(pattern, dtype=torch.bool, device=device)
        return self._masks[pattern]

    def _mixed(
        self,
        rows: Sequence[Row],
        layers: Sequence[Sequence[int]],
        weights_MLK: Tensor,
        eta_M: Tensor,
        finite_M: Tensor,
    ) -> tuple[Row, list[Tensor | None]]:
        shared, count = len(self.mixer.layers), len(rows[0])
        gradients: Row = [None] * count
        rates: list[Tensor | None] = [None] * count
        for index, layer in enumerate(layers):
            head = index >= shared
            guided = not head or self.mixer.eta_on_heads
            trained = rows if head and self.mixer.last_layer == "H1" else rows[:-1]
            for position in layer:
                # What no source reaches stays without a gradient, as after Tensor.backward.
                if all(row[position] is None for row in trained):
                    continue
                gradient = None
                for column, row in enumerate(trained):
                    if (part := row[position]) is None:
                        continue
                    if column < len(rows) - 1:
                        # Products and sums of numbers never go through TF32 matrix units.
                        part = part * over(weights_MLK[:, index, column], part)
                    gradient = part if gradient is None else gradient + part
                assert gradient is not None
                if guided and self.mixer.eta_on == "grad":
                    gradient = gradient * over(eta_M, gradient)
                gradients[position] = torch.where(over(finite_M, gradient), gradient, 0.0)
                if guided and self.mixer.eta_on == "lr":
                    rates[position] = eta_M
        return gradients, rates


class PackedSum:
    """`Sum` and its kin for M models.

    Args:
        combine: one model's K losses to the scalar that is back-propagated.
    """

    def __init__(self, combine: Callable[[Tensor], Tensor]) -> None:
        self._combine = combine

    def mix(
        self,
        losses_KM: Sequence[Tensor],
        parameters: Sequence[Tensor],
        positions: dict[int, int],
        *,
        retain_graph: bool = False,
    ) -> PackedStep:
        """One step of all models; arguments as of `PackedMixer.mix`."""
        total_M = torch.vmap(self._combine, in_dims=1)(torch.stack(list(losses_KM)))
        gradients = gradients_of(total_M, parameters, retain_graph)
        return PackedStep(gradients, [None] * len(gradients))


def gradients_of(loss_M: Tensor, parameters: Sequence[Tensor], retain_graph: bool) -> Row:
    """Every model's gradient of its own loss: that of their sum, since no loss reaches another model."""
    found = torch.autograd.grad(
        loss_M.sum(), list(parameters), retain_graph=retain_graph, allow_unused=True
    )
    return list(found)


def over(values_M: Tensor, tensor: Tensor) -> Tensor:
    """Numbers of the models, to be multiplied with a stacked tensor; of its type, unless they are flags."""
    kind = torch.bool if values_M.dtype == torch.bool else tensor.dtype
    return values_M.to(kind).view(-1, *([1] * (tensor.dim() - 1)))


def _gram(rows: Sequence[Row], layer: Sequence[int], models: int) -> Tensor:
    """Inner products of a layer's gradients, (M, R, R) float64 (see `gradmix.mixing.rows.gram`)."""
    flat: list[list[Tensor]] = [[] for _ in rows]
    for position in layer:
        found = [row[position] for row in rows]
        like = next((part for part in found if part is not None), None)
        if like is None:  # frozen, or another label space's
            continue
        for parts, part in zip(flat, found, strict=True):
            parts.append((torch.zeros_like(like) if part is None else part).reshape(models, -1))
    if not flat[0]:
        some = next(part for row in rows for part in row if part is not None)
        return some.new_zeros(models, len(rows), len(rows), dtype=torch.float64)
    rows_MRp = torch.stack([torch.cat(parts, dim=1) for parts in flat], dim=1).to(torch.float64)
    return rows_MRp @ rows_MRp.mT
