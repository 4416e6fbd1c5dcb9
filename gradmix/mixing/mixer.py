"""Applies a mixer's weights to a model: the sources' losses and the target's go in, ``.grad`` comes out."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from copy import copy
from itertools import compress
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from torch import Tensor, distributed, nn

from gradmix.mixing.arguments import (
    TARGET,
    SourceLosses,
    checked_layers,
    named_losses,
    refuse_overlap,
    refuse_unknown_kinds,
)
from gradmix.mixing.finite import FiniteCheck
from gradmix.mixing.gradients import gradients_of
from gradmix.mixing.gram import LayerStatistics, statistics
from gradmix.mixing.layers import Layer
from gradmix.mixing.mixed_step import MixedStep
from gradmix.mixing.optimizers import Optimizer, needs_closure, take_step
from gradmix.mixing.reduce import Reduction
from gradmix.mixing.rows import Gradients, gram, over, put, summed
from gradmix.mixing.solvers.cosine import cosines
from gradmix.mixing.solvers.problem import may_read

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

    from gradmix.mixing.averages import MovingCosines

LastLayer = Literal["H0", "H1", "H2"]
EtaOn = Literal["lr", "grad"]
Rho = Literal["sum", "mean", "scaled"]
Needs = Literal["losses", "norms", "gram"]


class GradientMixer(ABC):
    """The base of all gradient mixers. A mixer defines `weigh`, which turns small statistics into weights.

    Args:
        layers: the shared layers, from `layers_of`; a mixer that needs only losses does without.
        heads: the layers that belong to label spaces. ``None``: every other parameter that a loss reaches is
            taken from its graph; those reached by the same losses form one head.
        last_layer: how heads learn. ``"H1"``: from the sources that use them, where several do mixed by the same
            rule, and from the target's own gradient (what ``.grad`` of a shared head accumulates). ``"H0"`` (the
            paper's Eq. 10 read literally): from the sources alone, so the target trains nothing. ``"H2"``: as
            H0 here; the training loop fine-tunes on the target afterwards.
        eta_on: ``"lr"`` multiplies the learning rate by eta (the paper; take the step with `step`), ``"grad"``
            multiplies the mixed gradient before the optimizer sees it. With momentum they differ: a gradient
            that the learning rate vetoes still enters the momentum buffer.
        eta_on_heads: whether eta acts on the heads as well; ``None``: with ``eta_on="lr"`` only.
        source_names: for messages and `MixedStep`; ``None``: the keys of the losses, or "source 0", "source 1", ...
        process_group: ranks of ``torch.distributed`` over which every step's gradients and losses are averaged
            before they are mixed, in one all-reduce; all of them must give the same losses in the same order, on
            networks of the same weights. ``None``: there is one process.

    Raises:
        TypeError: if the layers are not a list of `Layer`.
        ValueError: for an option out of range, or layers that overlap.

    A mixer is not thread-safe and belongs to one model, or to several whose parameters are stacked (`stack`).

    Attributes:
        needs: what `weigh` looks at. ``"gram"``: inner products of all gradients. ``"norms"``: each gradient's own.
            ``"losses"``: no gradient at all; then the step is one backward pass of the weighted losses, and the target
            is one more source, behind the others, where its loss is given.
        target_trains: whether the target's own gradient is added to the mixture, in every layer.
        sum_length: whether a layer's mixture is multiplied by the number of its sources, so that equal weights give
            the plain sum of their gradients.
        rho: how the cosines of the shared layers make rho: their ``"sum"``, their ``"mean"``, or 5 times that.
        lead: leading dimensions of models that losses, parameters and numbers have: 0, or 1 behind `stack`.
        steps: taken so far.
    """

    needs: ClassVar[Needs] = "gram"
    target_trains = False
    sum_length = False
    rho: Rho = "sum"
    lead = 0
    _averages: "MovingCosines | None" = None

    def __init__(
        self,
        layers: Sequence[Layer] | None = None,
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
        self.layers = [] if layers is None and self.needs == "losses" else checked_layers(layers)
        if not self.layers and self.needs != "losses":
            raise ValueError("layers must hold at least one layer, but it is empty")
        self.heads = None if heads is None else checked_layers(heads, "heads")
        refuse_overlap([*self.layers, *(self.heads or [])])
        self.last_layer = last_layer
        self.eta_on = eta_on
        self.eta_on_heads = (eta_on == "lr") if eta_on_heads is None else eta_on_heads
        self.source_names = None if source_names is None else list(source_names)
        self.steps = 0
        self._begin()
        if process_group is not None:
            self.join(process_group)

    def _begin(self) -> None:
        self._check = FiniteCheck()
        self._reduction: Reduction | None = None
        self._masks: dict[Hashable, Tensor] = {}
        self._constants: dict[Hashable, tuple[Tensor, ...]] = {}
        self._names: tuple[str, ...] | None = None
        self._warned: set[str] = set()
        self.reset()

    def __repr__(self) -> str:
        parts = [f"{len(self.layers)} layers"]
        for name, value in vars(self).items():
            if name[0] != "_" and isinstance(value, str | int | float) and name != "steps":
                parts.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def join(self, process_group: "ProcessGroup") -> None:
        """Average every step's gradients and losses over these ranks from now on, before they are mixed."""
        self._reduction = Reduction(process_group)
        self._check.in_step = True

    @abstractmethod
    def weigh(self, stats: LayerStatistics) -> Tensor:
        """Turn the statistics of L layers (heads last) and K sources into weights_LK.

        For a mixer that needs only losses there is one layer, and the target is the last source where its loss is
        given.
        """

    def rate(self, rho: Tensor) -> Tensor:
        """Compute eta, the factor of the learning rate, shaped like ``rho``; here 1."""
        return torch.ones_like(rho)

    def stack_key(self) -> Hashable | None:
        """Give a key that is equal for all mixers that `stack` can join; ``None``: it cannot be stacked.

        ``None`` is the default. A mixer whose `weigh` takes leading dimensions, and which keeps no memory, returns
        `common_key` with its own options.
        """
        return None

    def common_key(self) -> Hashable:
        """Collect what any mixers must share to be stacked."""
        return (
            type(self),
            tuple(layer.name for layer in self.layers),
            None if self.heads is None else tuple(head.name for head in self.heads),
            *(self.last_layer, self.eta_on, self.eta_on_heads),
            tuple(self.source_names or ()),
        )

    @classmethod
    def stack(cls, mixers: Sequence[Self], stacked: Mapping[nn.Parameter, Any]) -> Self:
        """Make one mixer of several models' mixers, which have one `stack_key`.

        Each loss is then a vector of the models' losses. A model whose gradients are not finite gets zero gradients and
        eta 0 at that step, disturbs no other, and is reported by `MixedStep.finite` alone.

        Args:
            mixers: one per model.
            stacked: for each parameter of the first one's layers the leaf tensor of all models, (M, ...).
        """
        one = copy(mixers[0])
        one._begin()
        one.lead = 1

        def stack_layers(layers: Sequence[Layer]) -> list[Layer]:
            return [Layer(a.name, tuple(stacked[p] for p in a.parameters)) for a in layers]

        one.layers = stack_layers(one.layers)
        one.heads = None if one.heads is None else stack_layers(one.heads)
        return one

    def reset(self) -> None:
        """Forget all that is pending: parts of a batch, and the etas of steps that were not taken."""
        self._pending: Gradients | None = None
        self._losses_K = torch.zeros(0)
        self._etas: list[Tensor] = []
        self._last: tuple[nn.Parameter, Tensor | None, int] | None = None

    def accumulate(
        self,
        source_losses: SourceLosses,
        target_loss: Tensor | None = None,
        *,
        retain_graph: bool = False,
    ) -> None:
        """Keep the gradients of a part of the batch; the next `backward` adds its own and mixes the sums.

        Mixing is not linear, so the parts must be added source by source before it. Divide each loss by the
        number of parts, as usual, and the result is that of the whole batch.
        """
        try:
            self._add(*self._named(source_losses, target_loss), retain_graph)
        except BaseException:
            self.reset()
            raise

    def backward(
        self,
        source_losses: SourceLosses,
        target_loss: Tensor | None = None,
        *,
        retain_graph: bool = False,
        scaler: Any | None = None,
    ) -> MixedStep:
        """Add the mixed gradient to ``.grad`` of the shared parameters, and the heads' to theirs.

        Args:
            source_losses: one scalar per source, in a list or by name. Their graphs may share a forward pass, or be of
                features from `forward_together`.
            target_loss: the loss on the labelled target images, the guide; scalar. Only a mixer that needs nothing
                but losses does without.
            retain_graph: keep the graphs, as in ``Tensor.backward``.
            scaler: the ``torch.amp.GradScaler`` that has scaled the losses. What overflows is no error then: give it
                to `step` as well, which leaves the step out.

        Raises:
            TypeError: if a loss is no tensor, or the losses are not in a list or mapping.
            ValueError: if there is no source, a loss is no scalar or reaches no parameter of the shared layers, or
                a head would be trained by nothing.
            NonFiniteGradientError: if a gradient is NaN or Inf, with step, source and layer; on a GPU a step
                or two later, so that the host need not wait (`check` waits). No gradient is written then.

        After an error nothing is pending.
        """
        try:
            self._look_back()
            losses, names = self._named(source_losses, target_loss)
            if self.needs == "losses":
                return self._backward_losses(losses, names, retain_graph, scaler)
            self._add(losses, names, retain_graph)
            return self._mix(names, scaler)
        except BaseException:
            self.reset()
            raise

    def step(self, *optimizers: Optimizer, scaler: Any | None = None) -> None:
        """Take ``optimizer.step()`` with the learning rate multiplied by eta, without a host wait.

        The optimizer takes its step at its own rate, then every parameter goes the fraction eta of that way:
        the same as a rate multiplied by eta wherever the step is proportional to the rate (SGD, Adam, RMSprop
        and their kin; not optimizers that need a closure). Eta is the mean over the `backward` calls since
        the last step. With ``eta_on="grad"``, or a mixer that needs only losses, this is ``optimizer.step()``.

        Args:
            optimizers: one or more.
            scaler: the ``torch.amp.GradScaler`` of `backward`; it leaves out a step whose gradients overflowed, and
                its ``update()`` stays with the loop.

        Raises:
            ValueError: if there was no `backward` since the last step, no optimizer is given, or it needs a closure.
        """
        if not optimizers:
            raise ValueError("step() needs an optimizer")
        for optimizer in optimizers:
            if needs_closure(type(optimizer)):
                raise ValueError(
                    f"{type(optimizer).__name__} calls the loss by itself (a closure), and would not see the mixture; "
                    f"use SGD, Adam or their kin"
                )
        eta = None
        if self.needs != "losses" and self.eta_on == "lr":
            if not self._etas:
                raise ValueError("step() needs a backward() before it")
            eta = self._etas[0] if len(self._etas) == 1 else torch.stack(self._etas).mean(dim=0)
        self._etas, self._last = [], None
        only = None if self.eta_on_heads else _ids(self.layers)
        for optimizer in optimizers:
            take_step(optimizer, eta, only, scaler)

    def state_dict(self) -> dict[str, Any]:
        """Collect what a resumed training needs (see `load_state_dict`): tensors, numbers and names."""
        averages = {} if self._averages is None else self._averages.state_dict()
        return {"steps": self.steps, **averages}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.steps = int(state["steps"])
        if self._averages is not None:
            self._averages.load_state_dict(state)

    def check(self) -> None:
        """Wait for all outstanding NaN/Inf checks (call it before a checkpoint is written)."""
        self._check.poll(wait=True)

    # ---- what comes in

    def _named(
        self, source_losses: SourceLosses, target_loss: Tensor | None
    ) -> tuple[list[Tensor], tuple[str, ...]]:
        """Check the losses and give them in order, the target's last, with the sources' names."""
        by_name = isinstance(source_losses, Mapping)
        known = self.source_names or (self._names if by_name else None)
        losses, target, names = named_losses(source_losses, target_loss, known, lead=self.lead)
        if self.source_names is not None and list(names) != self.source_names:
            raise ValueError(f"source_names are {self.source_names}, but the losses' {list(names)}")
        if self._pending is not None and self._names != names:
            raise ValueError(f"the parts so far are of {self._names}, but got {names}")
        self._names = names
        if target is None and self.needs != "losses":
            raise TypeError(
                "target_loss must be a scalar tensor, the loss on the labelled target images, but got None"
            )
        return losses if target is None else [*losses, target], names

    def _look_back(self) -> None:
        """Drop the etas of steps that `optimizer.step()` took; those of several calls before one step stay."""
        if self._last is not None:
            parameter, gradient, version = self._last
            moved = parameter._version != version
            if parameter.grad is gradient is not None and not moved:
                return
            self._etas, self._last = [], None
            if moved:
                self._warn(
                    "a step was taken by optimizer.step(), so eta did not act on it; call mixer.step(optimizer) instead"
                )
        if self._reduction is None and self.needs != "losses" and _several_ranks():
            self._warn(
                "torch.distributed has several ranks, but this mixer has no process_group: every rank mixes gradients "
                "of its own (DistributedDataParallel does not average them), and their weights drift apart; use "
                f"{type(self).__name__}(..., process_group=torch.distributed.group.WORLD), and the network without "
                "DistributedDataParallel"
            )

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, stacklevel=4)

    def _add(
        self, losses: Sequence[Tensor], names: Sequence[str], retain_graph: bool
    ) -> Tensor | None:
        """Add to what is pending, and give the weights if the mixer needs only losses."""
        wanted = weights_1R = None
        if self.heads is not None and self.needs != "losses":
            wanted = _ids([*self.layers, *self.heads])
        losses_K = torch.stack([loss.detach().double() for loss in losses], dim=-1)
        if self.needs == "losses":
            total, weights_1R = self._total(losses, names)
            losses, names = [total], ["all sources"]
        else:
            losses_K, names = losses_K[..., :-1], [*names, TARGET]
        gradients = gradients_of(losses, names, wanted, retain_graph=retain_graph)
        if self._pending is not None:
            gradients = summed(self._pending, gradients)
            losses_K = self._losses_K + losses_K
        self._losses_K = losses_K
        self._pending = gradients
        return weights_1R

    # ---- a step from gradients

    def _mix(self, names: tuple[str, ...], scaler: Any | None) -> MixedStep:
        gradients, self._pending = self._pending, None
        assert gradients is not None
        losses_K = self._losses_K
        heads = self._heads_of(gradients, names)
        layers = [*_reached(self.layers, gradients), *heads]
        shared = len(layers) - len(heads)
        agreed = None
        if self._reduction is not None:
            gradients, losses_K, agreed = self._reduction(gradients, layers, losses_K)
        # Behind the ranks' agreement: an error on one of them alone would leave the others waiting.
        mask_LK = self._mask(layers, gradients, shared, names)
        like = next(iter(gradients))
        gram_LRR = gram(
            [[gradients[p] for p in layer.parameters] for layer in layers],
            len(names) + 1,
            like,
            lead=self.lead,
            squares=self.needs == "norms",
        )
        if scaler is not None:
            scale = scaler.scale(torch.ones((), device=like.device)).double()
            gram_LRR, losses_K = gram_LRR / scale / scale, losses_K / scale
        norms_LR = gram_LRR.diagonal(dim1=-2, dim2=-1).sqrt()
        finite_LR = norms_LR.isfinite()
        layer_names = tuple(layer.name for layer in layers)
        step, self.steps = self.steps, self.steps + 1
        known = False
        if self.lead == 0 and scaler is None:
            known = self._check.submit(step, finite_LR, layer_names, [*names, TARGET], agreed)
        finite = finite_LR.flatten(-2).all(dim=-1)
        if agreed is not None:
            finite = finite & agreed
        if self.lead:
            # What is not finite becomes zero before the solver sees it, which has all models in one batch.
            gram_LRR = torch.where(finite[:, None, None, None], gram_LRR, 0.0)

        stats = statistics(gram_LRR, mask_LK, losses_K, shared, layer_names, names)
        if scaler is not None and may_read(finite) and not finite:
            weights_LK = torch.full_like(stats.target_LK, torch.nan)
        else:
            weights_LK = self.weigh(stats).expand_as(stats.target_LK)
        cosines_L = cosines(stats.gram_LKK, stats.target_LK, stats.target_norm_L, weights_LK)
        rho = cosines_L[..., :shared].sum(-1)
        if self.rho != "sum":
            rho = rho * ((1 if self.rho == "mean" else 5) / shared)
        eta = self.rate(rho)
        factors_LK = (
            weights_LK * mask_LK.sum(dim=1, keepdim=True) if self.sum_length else weights_LK
        )
        fill = 0.0 if scaler is None else torch.nan  # by which the scaler sees the overflow
        self._write(gradients, layers, factors_LK, eta, shared, None if known else finite, fill)
        # With eta 0 a step that is not finite changes no parameter, whatever it left in rho.
        eta = torch.where(finite, eta, torch.zeros_like(eta))
        if self.eta_on == "lr":
            self._etas.append(eta)
            last = next(p for layer in self.layers for p in layer.parameters if p.grad is not None)
            self._last = last, last.grad, last._version
        return MixedStep(
            weights_LK=weights_LK[..., :shared, :],
            cosines_L=cosines_L[..., :shared],
            rho=rho,
            eta=eta,
            head_weights_HK=weights_LK[..., shared:, :],
            target_norm_L=stats.target_norm_L[..., :shared],
            source_norms_LK=norms_LR[..., :shared, :-1],
            finite=finite_LR,
            sources=names,
            layers=layer_names[:shared],
            heads=layer_names[shared:],
        )

    def _heads_of(self, gradients: Gradients, names: Sequence[str]) -> list[Layer]:
        if self.heads is not None:
            return [head for head in _reached(self.heads, gradients) if head.parameters]
        shared = _ids(self.layers)
        groups: dict[tuple[bool, ...], list[nn.Parameter]] = {}
        for parameter, rows in gradients.items():
            if id(parameter) not in shared:
                groups.setdefault(rows.reached, []).append(parameter)
        return [
            Layer("head of " + ", ".join(compress([*names, TARGET], owners)), tuple(parameters))
            for owners, parameters in groups.items()
        ]

    def _mask(
        self, layers: list[Layer], gradients: Gradients, shared: int, names: Sequence[str]
    ) -> Tensor:
        """Make mask_LK, once per pattern, since a new tensor from the host would make it wait."""
        reached = tuple(
            tuple(
                any(gradients[p].reached[row] for p in layer.parameters)
                for row in range(len(names) + 1)
            )
            for layer in layers
        )
        device = next(iter(gradients)).device
        key = (device, shared, reached)
        if key not in self._masks:
            self._refuse(layers, reached, shared, names)
            pattern = [
                [index < shared or reaches for reaches in row[:-1]]
                for index, row in enumerate(reached)
            ]
            self._masks[key] = torch.tensor(pattern, dtype=torch.bool, device=device)
        return self._masks[key]

    def _refuse(
        self,
        layers: Sequence[Layer],
        reached: Sequence[Sequence[bool]],
        shared: int,
        names: Sequence[str],
    ) -> None:
        for row, name in enumerate([*names, TARGET]):
            if not any(flags[row] for flags in reached[:shared]):
                own = ", ".join(layer.name for layer in self.layers[:3])
                raise ValueError(
                    f"the loss of {name} reaches none of the {shared} shared layers ({own}{', …' * (shared > 3)}): is "
                    f"it of another network, or were they frozen or parametrised behind layers_of?"
                )
        for layer, flags in zip(layers[shared:], reached[shared:], strict=True):
            if self.last_layer == "H0" and not self.target_trains and not any(flags[:-1]):
                raise ValueError(
                    f'{layer.name} is used by no source, so with last_layer="H0" nothing trains it; '
                    f'last_layer="H1" trains it by the target\'s own gradient'
                )
        refuse_unknown_kinds(layers)

    def _write(
        self,
        gradients: Gradients,
        layers: list[Layer],
        factors_LK: Tensor,
        eta: Tensor,
        shared: int,
        finite: Tensor | None,
        fill: float,
    ) -> None:
        """Add the mixture to ``.grad``; ``fill`` where any gradient of the step is NaN or Inf (``None``: none is).

        Each parameter's rows are let go as soon as they are mixed: no more than one parameter's mixture is held
        beside the gradients.
        """
        wide = any(p.dtype == torch.float64 for p in gradients)
        dtype = torch.float64 if wide else torch.float32
        scale_L = torch.ones(*eta.shape, len(layers), dtype=dtype, device=eta.device)
        if self.eta_on == "grad":
            scale_L[..., : None if self.eta_on_heads else shared] = eta.to(dtype)[..., None]
        # The target's row last, with the factor 1 before eta; only layers that it trains use it.
        factors_LR = torch.cat([factors_LK.to(dtype), torch.ones_like(scale_L)[..., None]], dim=-1)
        factors_LR = factors_LR * scale_L[..., None]
        factors: dict[nn.Parameter, Sequence[Tensor]] = {}
        for index, layer in enumerate(layers):
            own = factors_LR[..., index, :].unbind(-1)
            trains = self.target_trains or (index >= shared and self.last_layer == "H1")
            factors |= dict.fromkeys(layer.parameters, own if trains else own[:-1])
        for parameter, factors_R in factors.items():
            mixed = gradients.pop(parameter).mixed(factors_R)
            # What no source reaches stays without a gradient, as after Tensor.backward.
            if mixed is None:
                continue
            if finite is not None:
                mixed = torch.where(over(finite, mixed), mixed, torch.full_like(mixed, fill))
            put(parameter, mixed)

    # ---- a step from losses alone

    def _backward_losses(
        self,
        losses: Sequence[Tensor],
        names: tuple[str, ...],
        retain_graph: bool,
        scaler: Any | None,
    ) -> MixedStep:
        step, self.steps = self.steps, self.steps + 1
        known = [*names, TARGET][: len(losses)]
        checked = self.lead == 0 and scaler is None
        weights_1R: Tensor | None
        if self._reduction is None and self._pending is None:
            total, weights_1R = self._total(losses, names)
            losses_R = torch.stack([loss.detach() for loss in losses], dim=-1)
            if checked:
                self._check.submit(step, losses_R.isfinite()[None], [], known)
            (total.sum() if self.lead else total).backward(retain_graph=retain_graph)
        else:
            weights_1R = self._add(losses, names, retain_graph)
            gradients, self._pending = self._pending, None
            assert gradients is not None
            agreed, losses_R = None, self._losses_K
            if self._reduction is not None:
                layer = Layer("all parameters", tuple(gradients))
                gradients, losses_R, agreed = self._reduction(gradients, [layer], losses_R)
            if checked:
                self._check.submit(step, losses_R.isfinite()[None], [], known, agreed)
            for parameter, rows in gradients.items():
                (gradient,) = rows.tensors()
                assert gradient is not None
                put(parameter, gradient)
        assert weights_1R is not None
        return self._report(losses_R, weights_1R, names)

    def _total(self, losses: Sequence[Tensor], names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Sum the weighted losses, to be back-propagated, and give the weights."""
        losses_R = torch.stack(list(losses), dim=-1)
        now_R = losses_R.detach().double()
        nan_1R, nan_1RR, mask_1R, _ = self._unknown(now_R[..., None, :])
        stats = LayerStatistics(
            nan_1RR, nan_1R, nan_1R[..., 0], mask_1R, now_R, 1, sources=tuple(names)
        )
        weights_1R = self.weigh(stats).expand_as(nan_1R)
        return (weights_1R[..., 0, :].to(losses_R.dtype) * losses_R).sum(-1), weights_1R

    def _report(self, losses_R: Tensor, weights_1R: Tensor, names: tuple[str, ...]) -> MixedStep:
        layers = tuple(layer.name for layer in self.layers) or ("all parameters",)
        weights_LK = weights_1R[..., : len(names)]
        weights_LK = weights_LK.expand(*weights_LK.shape[:-2], len(layers), -1)
        nan_LK, _, _, eta = self._unknown(weights_LK)
        return MixedStep(
            weights_LK=weights_LK,
            cosines_L=nan_LK[..., 0],
            rho=nan_LK[..., 0, 0],
            eta=eta,
            head_weights_HK=weights_LK[..., :0, :],
            target_norm_L=nan_LK[..., 0],
            source_norms_LK=nan_LK,
            finite=losses_R.isfinite()[..., None, :],
            sources=names,
            layers=layers,
            heads=(),
        )

    def _unknown(self, like: Tensor) -> tuple[Tensor, ...]:
        """Fill in what losses alone do not tell: NaN of this shape and its square's, a full mask, eta 1; made once."""
        key = (like.device, like.shape)
        if key not in self._constants:
            nan_LK = torch.full_like(like, torch.nan)
            nan_LKK = nan_LK[..., None].expand(*nan_LK.shape, nan_LK.shape[-1])
            mask_LK = torch.ones(like.shape[-2:], dtype=torch.bool, device=like.device)
            self._constants[key] = nan_LK, nan_LKK, mask_LK, torch.ones_like(nan_LK[..., 0, 0])
        return self._constants[key]


def _ids(layers: Sequence[Layer]) -> set[int]:
    return {id(p) for layer in layers for p in layer.parameters}


def _reached(layers: Sequence[Layer], gradients: Gradients) -> list[Layer]:
    # Parameters that were frozen since, or that no loss reaches, drop out; a layer keeps its place even if empty.
    return [Layer(a.name, tuple(p for p in a.parameters if p in gradients)) for a in layers]


def _several_ranks() -> bool:
    return (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )
