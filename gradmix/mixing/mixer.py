"""Applies a mixer's weights to a model: per-source losses and the target's loss in, ``.grad`` out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gradmix.mixing.finite import FiniteCheck
from gradmix.mixing.gradients import gradients_of
from gradmix.mixing.gram import LayerStatistics, statistics
from gradmix.mixing.layers import Layer
from gradmix.mixing.reduce import Reduction
from gradmix.mixing.rows import Gradients, gram, put, summed

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

LastLayer = Literal["H0", "H1", "H2"]
EtaOn = Literal["lr", "grad"]


class Optimizer(Protocol):
    """What `GradientMixer.step` asks of an optimizer; every ``torch.optim.Optimizer`` has it."""

    param_groups: list[dict[str, Any]]

    def step(self) -> Any:
        """Take a step."""


@runtime_checkable
class ScaledSteps(Protocol):
    """An optimizer that can take a part of a step by itself, without a copy of the parameters."""

    def scaled_step(self, factor: Tensor, only: set[int] | None) -> None:
        """Take the step ``factor`` (scalar tensor) times as far for the parameters of these ids (``None``: all)."""


@dataclass(frozen=True)
class MixedStep:
    """What a mixer did in one step, as tensors on the device (L shared layers, K sources, H heads).

    Attributes:
        weights_LK: weight of each source in each shared layer.
        cosines_L: cosine of the mixed gradient with the target gradient, layer by layer.
        rho: importance of the mini-batch, the sum of the cosines (Eq. 8); scalar.
        eta: factor of the learning rate (Eq. 9); scalar in (0, 1), 1 without the adaptive rate.
        head_weights_HK: weight of each source in each head; 0 where a source does not use the head.
        target_norm_L: norm of the target gradient.
        source_norms_LK: norms of the source gradients.
    """

    weights_LK: Tensor
    cosines_L: Tensor
    rho: Tensor
    eta: Tensor
    head_weights_HK: Tensor
    target_norm_L: Tensor
    source_norms_LK: Tensor


class GradientMixer(ABC):
    """The part that all gradient mixers share. A mixer itself is `weigh`: small statistics in, weights out.

    Args:
        layers: the shared layers, from `layers_of`.
        heads: the layers that belong to label spaces. ``None``: every other parameter that a loss reaches is
            found by walking its graph; those reached by the same losses form one head.
        last_layer: how heads learn. ``"H1"``: from the sources that use them, where several do mixed by the same
            rule, and from the target's own gradient (what ``.grad`` of a shared head accumulates). ``"H0"`` (the
            paper's Eq. 10 read literally): from the sources alone, so the target trains nothing. ``"H2"``: as
            H0 here; the training loop fine-tunes on the target afterwards.
        eta_on: ``"lr"`` multiplies the learning rate by eta (the paper; take the step with `step`), ``"grad"``
            multiplies the mixed gradient before the optimizer sees it. With momentum they differ: a gradient
            that the learning rate vetoes still enters the momentum buffer.
        eta_on_heads: whether eta acts on the heads as well; ``None``: with ``eta_on="lr"`` only.
        source_names: for error messages; ``None``: "source 0", "source 1", ...
        process_group: ranks of ``torch.distributed`` over which every step's gradients and losses are averaged
            before they are mixed, in one all-reduce; all of them must give the same losses in the same order, on
            networks of the same weights. ``None``: this process is by itself.

    A mixer is not thread-safe and belongs to one model.

    Attributes:
        target_trains: whether the target's own gradient is added to the mixture, in every layer.
        sum_length: whether a layer's mixture is multiplied by the number of its sources, so that equal weights give
            the plain sum of their gradients.
    """

    target_trains = False
    sum_length = False

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        heads: Sequence[Layer] | None = None,
        last_layer: LastLayer = "H1",
        eta_on: EtaOn = "lr",
        eta_on_heads: bool | None = None,
        source_names: Sequence[str] | None = None,
        process_group: "ProcessGroup | None" = None,
    ) -> None:
        if last_layer not in ("H0", "H1", "H2"):
            raise ValueError(f'last_layer must be "H0", "H1" or "H2", but got {last_layer!r}')
        if eta_on not in ("lr", "grad"):
            raise ValueError(f'eta_on must be "lr" or "grad", but got {eta_on!r}')
        _refuse_overlap([*layers, *(heads or [])])
        self.layers = list(layers)
        self.heads = None if heads is None else list(heads)
        self.last_layer = last_layer
        self.eta_on = eta_on
        self.eta_on_heads = (eta_on == "lr") if eta_on_heads is None else eta_on_heads
        self.source_names = None if source_names is None else list(source_names)
        self.steps = 0
        self._check = FiniteCheck()
        self._reduction: Reduction | None = None
        if process_group is not None:
            self.join(process_group)
        self._pending: Gradients | None = None
        self._losses_K = torch.zeros(0)
        self._etas: list[Tensor] = []
        self._masks: dict[tuple[Any, ...], Tensor] = {}

    def join(self, process_group: "ProcessGroup") -> None:
        """From now on average every step's gradients and losses over these ranks before they are mixed."""
        self._reduction = Reduction(process_group)
        self._check.in_step = True

    @abstractmethod
    def weigh(self, stats: LayerStatistics) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The mixer itself: statistics of L layers (heads last) in, ``(weights_LK, cosines_L, rho, eta)`` out."""

    def accumulate(
        self, source_losses: Sequence[Tensor], target_loss: Tensor, *, retain_graph: bool = False
    ) -> None:
        """Keep the gradients of a part of the batch; the next `backward` adds its own and mixes the sums.

        Mixing is not linear, so the parts must be added source by source before it. Divide each loss by the
        number of parts, as usual, and the result is that of the whole batch.
        """
        gradients = self._gradients(source_losses, target_loss, retain_graph)
        losses_K = torch.stack([loss.detach().double() for loss in source_losses])
        if self._pending is not None:
            if len(self._losses_K) != len(losses_K):
                raise ValueError(
                    f"accumulated {len(self._losses_K)} sources so far, but got {len(losses_K)}"
                )
            gradients = summed(self._pending, gradients)
            losses_K = self._losses_K + losses_K
        self._losses_K = losses_K
        self._pending = gradients

    def backward(
        self, source_losses: Sequence[Tensor], target_loss: Tensor, *, retain_graph: bool = False
    ) -> MixedStep:
        """Add the mixed gradient to ``.grad`` of the shared parameters, and the heads' to theirs.

        Args:
            source_losses: one scalar per source, each with a graph of its own, of features from `forward_together`,
                or (with ``retain_graph=True``) any.
            target_loss: the loss on the labelled target images, the guide; scalar.
            retain_graph: keep the graphs, as in ``Tensor.backward``.

        Raises:
            ValueError: if there is no source, or a loss is no scalar or reaches no parameter.
            NonFiniteGradientError: if a gradient is NaN or Inf, with step, source and layer; on a GPU a step
                or two later, so that the host need not wait (`check` waits). No gradient is written then.
        """
        self.accumulate(source_losses, target_loss, retain_graph=retain_graph)
        gradients, self._pending = self._pending, None
        assert gradients is not None
        losses_K = self._losses_K
        heads = self._heads_of(gradients, len(losses_K))
        layers = [*self._shared_of(gradients), *heads]
        shared = len(layers) - len(heads)
        mask_LK = self._mask(layers, gradients, shared, len(losses_K))
        if self._reduction is not None:
            gradients, losses_K = self._reduction(gradients, layers, losses_K)
        like = next(iter(gradients))
        rows = [[gradients[p] for p in layer.parameters] for layer in layers]
        gram_LRR = gram(rows, len(losses_K) + 1, like)
        stats = statistics(gram_LRR, mask_LK, losses_K, shared)

        norms_LR = gram_LRR.diagonal(dim1=-2, dim2=-1).sqrt()
        finite_LR = norms_LR.isfinite()
        step, self.steps = self.steps, self.steps + 1
        known = self._check.submit(
            step, finite_LR, [layer.name for layer in layers], self._names(len(losses_K))
        )

        weights_LK, cosines_L, rho, eta = self.weigh(stats)
        finite = finite_LR.all()
        factors_LK = (
            weights_LK * mask_LK.sum(dim=1, keepdim=True) if self.sum_length else weights_LK
        )
        self._write(gradients, layers, factors_LK, eta, shared, None if known else finite)
        # With eta 0 a step that is not finite changes no parameter, whatever it left in rho.
        eta = torch.where(finite, eta, torch.zeros_like(eta))
        if self.eta_on == "lr":
            self._etas.append(eta)
        return MixedStep(
            weights_LK=weights_LK[:shared],
            cosines_L=cosines_L[:shared],
            rho=rho,
            eta=eta,
            head_weights_HK=weights_LK[shared:],
            target_norm_L=stats.target_norm_L[:shared],
            source_norms_LK=norms_LR[:shared, :-1],
        )

    def step(self, optimizer: Optimizer) -> None:
        """``optimizer.step()`` with the learning rate multiplied by eta, without a host wait.

        The optimizer takes its step at its own rate, then every parameter goes the fraction eta of that way:
        the same as a rate multiplied by eta wherever the step is proportional to the rate (SGD, Adam, RMSprop
        and their kin; not optimizers that need a closure). Eta is the mean over the `backward` calls since
        the last step. With ``eta_on="grad"`` this is ``optimizer.step()``.

        Raises:
            ValueError: if there was no `backward` since the last step.
        """
        if self.eta_on == "grad":
            optimizer.step()
            return
        if not self._etas:
            raise ValueError("step() needs a backward() before it")
        eta = self._etas[0] if len(self._etas) == 1 else torch.stack(self._etas).mean()
        self._etas = []
        only = None
        if not self.eta_on_heads:
            only = {id(p) for layer in self.layers for p in layer.parameters}
        if isinstance(optimizer, ScaledSteps):
            optimizer.scaled_step(eta, only)
            return
        parameters = [
            p
            for group in optimizer.param_groups
            for p in group["params"]
            if p.grad is not None and (only is None or id(p) in only)
        ]
        before = [p.detach().clone() for p in parameters]
        optimizer.step()
        with torch.no_grad():
            for parameter, old in zip(parameters, before, strict=True):
                torch.lerp(old, parameter, eta.to(parameter.dtype), out=parameter)

    def state(self) -> dict[str, Tensor]:
        """Tensors that a resumed training needs (see `load`); a mixer without memory has none."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027 nothing to load by default
        """Continue where `state` was taken."""

    def check(self) -> None:
        """Wait for all outstanding NaN/Inf checks (call it before a checkpoint is written)."""
        self._check.poll(wait=True)

    def _gradients(
        self, source_losses: Sequence[Tensor], target_loss: Tensor, retain_graph: bool
    ) -> Gradients:
        if not source_losses:
            raise ValueError("there must be at least one source loss, but got none")
        wanted = None
        if self.heads is not None:
            wanted = {id(p) for layer in [*self.layers, *self.heads] for p in layer.parameters}
        names = self._names(len(source_losses))
        return gradients_of([*source_losses, target_loss], names, wanted, retain_graph=retain_graph)

    def _names(self, sources: int) -> list[str]:
        names = self.source_names or [f"source {index}" for index in range(sources)]
        if len(names) != sources:
            raise ValueError(
                f"source_names has {len(names)} names, but there are {sources} source losses"
            )
        return [*names, "the target"]

    def _shared_of(self, gradients: Gradients) -> list[Layer]:
        # Parameters that were frozen since, or that no loss reaches, drop out; a layer keeps its place even if empty.
        return [
            Layer(layer.name, tuple(p for p in layer.parameters if p in gradients))
            for layer in self.layers
        ]

    def _heads_of(self, gradients: Gradients, sources: int) -> list[Layer]:
        if self.heads is not None:
            heads = [
                Layer(head.name, tuple(p for p in head.parameters if p in gradients))
                for head in self.heads
            ]
            return [head for head in heads if head.parameters]
        shared = {id(p) for layer in self.layers for p in layer.parameters}
        groups: dict[tuple[bool, ...], list[nn.Parameter]] = {}
        for parameter, rows in gradients.items():
            if id(parameter) not in shared:
                groups.setdefault(rows.reached, []).append(parameter)
        names = self._names(sources)
        return [
            Layer("head of " + ", ".join(compress(names, owners)), tuple(parameters))
            for owners, parameters in groups.items()
        ]

    def _mask(self, layers: list[Layer], gradients: Gradients, shared: int, sources: int) -> Tensor:
        """mask_LK; made once per pattern, since a new tensor from the host would make it wait."""
        pattern = tuple(
            tuple(
                index < shared or any(gradients[p].reached[source] for p in layer.parameters)
                for source in range(sources)
            )
            for index, layer in enumerate(layers)
        )
        device = next(iter(gradients)).device
        key = (device, pattern)
        if key not in self._masks:
            self._masks[key] = torch.tensor(pattern, dtype=torch.bool, device=device)
        return self._masks[key]

    def _write(
        self,
        gradients: Gradients,
        layers: list[Layer],
        factors_LK: Tensor,
        eta: Tensor,
        shared: int,
        finite: Tensor | None,
    ) -> None:
        """Add the mixture to ``.grad``; zero where any gradient of the step is NaN or Inf (``None``: none is).

        Each parameter's rows are let go as soon as they are mixed: no more than one parameter's mixture is held
        beside the gradients.
        """
        wide = any(p.dtype == torch.float64 for p in gradients)
        dtype = torch.float64 if wide else torch.float32
        scale_L = torch.ones(len(layers), dtype=dtype, device=eta.device)
        if self.eta_on == "grad":
            scale_L[: None if self.eta_on_heads else shared] = eta.to(dtype)
        # The target's row last, with the factor 1 before eta; only layers that it trains use it.
        factors_LR = torch.cat([factors_LK.to(dtype), torch.ones_like(scale_L)[:, None]], dim=1)
        factors_LR = factors_LR * scale_L[:, None]
        factors: dict[nn.Parameter, Sequence[Tensor]] = {}
        for index, layer in enumerate(layers):
            of_layer = factors_LR[index].unbind()
            trains = self.target_trains or (index >= shared and self.last_layer == "H1")
            factors |= dict.fromkeys(layer.parameters, of_layer if trains else of_layer[:-1])
        for parameter, of_rows in factors.items():
            mixed = gradients.pop(parameter).mixed(of_rows)
            # What no source reaches stays without a gradient, as after Tensor.backward.
            if mixed is None:
                continue
            if finite is not None:
                mixed = torch.where(finite, mixed, torch.zeros_like(mixed))
            put(parameter, mixed)


def _refuse_overlap(layers: Sequence[Layer]) -> None:
    if not layers:
        raise ValueError("layers must hold at least one layer, but it is empty")
    owner: dict[int, str] = {}
    for layer in layers:
        for parameter in layer.parameters:
            if id(parameter) in owner:
                raise ValueError(
                    f"layers {owner[id(parameter)]} and {layer.name} share a parameter"
                )
            owner[id(parameter)] = layer.name
